"""The set checker: lost, stale, resurrected and never-added elements are told apart."""

from __future__ import annotations

from jepsen_like.checkers import set as sets
from jepsen_like.checkers.verdict import Validity
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Delete, Get, Put
from jepsen_like.history.result import Deleted, Found, Refused, Written
from jepsen_like.workloads.set import PREFIX, elements
from tests.jepsen_like.hand_made import LOST, call, found, history, kv, reason
from tests.jepsen_like.virtual_clients import run

_WHOLE = Get(PREFIX, "set0")


def _check(*operations: Operation) -> str:
    return reason(sets.check(history(*operations), minimum=1))


def _add(at_s: float, name: str) -> Operation:
    return call(at_s, Put(PREFIX + name, name), Written(2))


def _read(at_s: float, *names: str) -> Operation:
    return call(at_s, _WHOLE, found(*(kv(PREFIX + name) for name in names)))


def test_a_lost_element_is_named() -> None:
    """Acknowledged, and missing from the last read."""
    assert _check(_add(0, "a"), _add(1, "b"), _read(2, "b")).startswith("set/a is lost")


def test_a_stale_read_is_no_loss() -> None:
    """Missing once and there again later: the first read was stale, nothing is lost."""
    found_reason = _check(_add(0, "a"), _read(2), _read(4, "a"))
    assert "the first was stale" in found_reason


def test_a_removed_element_that_is_back_was_resurrected() -> None:
    """A read after the removal's answer shows it."""
    removal = call(1, Delete(PREFIX + "a"), Deleted(3, 1))
    assert "set/a was resurrected" in _check(_add(0, "a"), removal, _read(2, "a"))


def test_a_removal_that_finds_nothing_shows_a_loss() -> None:
    """The element was acknowledged before, and nobody else removes it."""
    removal = call(1, Delete(PREFIX + "a"), Deleted(3, 0))
    assert "found nothing" in _check(_add(0, "a"), removal, _read(2))


def test_a_refused_add_must_not_be_seen() -> None:
    """An error that says "nothing happened" is held to it; so is an element nobody added."""
    refused = call(0, Put(PREFIX + "a", "a"), Refused("UNAVAILABLE", "no leader"))
    assert "no add of it took effect" in _check(refused, _read(2, "a"))
    assert "no add of it took effect" in _check(_read(2, "z"))


def test_what_overlaps_is_not_judged() -> None:
    """A read that overlaps the add or the removal may show either; a lost add too."""
    valid: list[History] = [
        history(_add(0, "b"), _add(0, "a"), _read(0.4, "b"), _read(2, "a", "b")),
        history(_add(0, "b"), call(0, Put(PREFIX + "a", "a"), LOST), _read(2, "b")),
        history(
            _add(0, "a"),
            call(1, Delete(PREFIX + "a"), LOST),
            _read(1.2, "a"),
            _read(3),
            _add(4, "b"),
        ),
    ]
    for each in valid:
        verdict = sets.check(each, minimum=1)
        assert verdict.validity is Validity.VALID, str(verdict)


def test_adds_without_a_later_read_are_not_counted() -> None:
    """Nothing was read after the add: nothing was proven."""
    assert sets.check(history(_add(0, "a")), minimum=1).validity is Validity.UNKNOWN


def test_a_loss_in_a_long_run_is_found() -> None:
    """One acknowledged element that the final read leaves out, of hundreds."""
    made = run(elements(), 4, steps=800)
    assert sets.check(made).validity is Validity.VALID
    removed = {o.request.key for o in made.operations if isinstance(o.request, Delete)}
    final = made.operations[-1]
    assert isinstance(final.outcome, Found)
    acknowledged = {o.request.key for o in made.answered if isinstance(o.request, Put)}
    shown = final.outcome.kvs
    lost = next(kv for kv in shown if kv.key in acknowledged - removed)
    rest = found(*(kv for kv in shown if kv != lost))
    made.operations[-1] = call(final.called_s, final.request, rest, took_s=0.001)
    assert reason(sets.check(made)).startswith(f"{lost.key} is lost")
