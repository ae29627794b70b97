"""The generic search by itself, and against the checker that is guided by revisions."""

from __future__ import annotations

import time
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsen_like.checkers import linearizable, wgl
from jepsen_like.checkers.verdict import Validity
from jepsen_like.history.request import Get, Grant, Put
from jepsen_like.history.result import Granted, Written
from tests.jepsen_like.corruption import corrupted
from tests.jepsen_like.random_history import Mix, RandomRun
from tests.jepsen_like.scripted_history import Script, found, kv, reason


def test_concurrent_writes_may_stand_in_either_order() -> None:
    """The search finds the order that the answers tell."""
    script = Script()
    script.call(Put("a", "x"), Written(3), at=(0.0, 5.0))
    script.call(Put("a", "y"), Written(2), at=(0.0, 5.0))
    script.get("a", 3, kv("a", "x", 2, 3, 2))
    assert wgl.check(script.history).validity is Validity.VALID


def test_a_stale_read_has_no_place() -> None:
    """The read that cannot be next is named."""
    script = Script()
    script.put("a", "x", 2)
    script.put("a", "y", 3)
    read = script.get("a", 2, kv("a", "x", 2, 2, 1))
    verdict = wgl.check(script.history)
    assert "no order of the operations explains all answers: 2" in reason(verdict)
    assert verdict.findings[0].operations == (read,)


def test_a_serializable_read_may_be_stale() -> None:
    """It may stand anywhere before its return."""
    script = Script()
    script.put("a", "x", 2)
    script.put("a", "y", 3)
    script.call(Get("a", serializable=True), found(2, kv("a", "x", 2, 2, 1)))
    assert wgl.check(script.history).validity is Validity.VALID


def test_an_unanswered_write_happens_late_or_never() -> None:
    """Seen after its call had failed; another one not at all."""
    script = Script()
    script.lost_put("a", "x")
    script.lost_put("a", "y")
    script.get("a", 1)
    script.get("a", 2, kv("a", "x", 2, 2, 1))
    assert wgl.check(script.history).validity is Validity.VALID


def test_a_lease_may_run_out() -> None:
    """Its key is gone, one revision later, and nobody asked."""
    script = Script()
    script.call(Grant(7, 1), Granted(1, 7, 1))
    script.put("a", "x", 2, lease=7)
    script.get("a", 3)
    assert wgl.check(script.history).validity is Validity.VALID


def test_a_spent_budget_is_unknown() -> None:
    """Out of steps is no verdict; too many operations neither."""
    history = RandomRun(Random(3), Mix()).run(60)
    assert wgl.check(history, steps_max=5).validity is Validity.UNKNOWN
    long = RandomRun(Random(3), Mix(unknown=0.0)).run(wgl.OPERATIONS_MAX + 50)
    assert wgl.check(long).validity is Validity.UNKNOWN


@given(st.integers(0, 2**32), st.sampled_from((0.0, 0.1, 0.3)), st.sampled_from((None, 3)))
@settings(max_examples=150, deadline=None)
def test_a_right_history_is_valid_to_both(seed: int, unknown: float, values: int | None) -> None:
    """No false alarm, with unanswered writes, leases, compaction and stale reads."""
    history = RandomRun(Random(seed), Mix(unknown=unknown, values=values)).run(20)
    for verdict in (linearizable.check(history), wgl.check(history)):
        assert verdict.validity is not Validity.INVALID, f"seed {seed}: {verdict}"


@given(
    st.integers(0, 2**32),
    st.integers(5, 18),
    st.sampled_from((0.0, 0.1, 0.25)),
    st.sampled_from((None, 3)),
)
@settings(max_examples=300, deadline=None)
def test_both_agree_on_one_wrong_answer(
    seed: int, operations: int, unknown: float, values: int | None
) -> None:
    """Histories with one answer or time changed: what one calls invalid, the other does too."""
    random = Random(seed)
    run = RandomRun(random, Mix(unknown=unknown, values=values, processes=3))
    history = corrupted(random, run.run(operations))
    guided, generic = linearizable.check(history), wgl.check(history, steps_max=30_000)
    if Validity.UNKNOWN not in (guided.validity, generic.validity):
        assert guided.validity == generic.validity, f"seed {seed}: {guided}\n{generic}"


@pytest.mark.parametrize(
    ("seed", "operations", "mix"),
    [
        (243, 60, Mix(unknown=0.4, values=3)),  # what one guess used up was missing at the next
        (278, 60, Mix(unknown=0.4, values=3)),  # a delete of a range removed more than was seen
        (7, 2_000, Mix(processes=30, keys=5, unknown=0.2, lost=0.9)),  # more than a few candidates
        (3, 2_000, Mix(processes=12, keys=8, unknown=0.15)),
    ],
)
def test_many_unanswered_writes_are_no_violation(seed: int, operations: int, mix: Mix) -> None:
    """Seeds that a narrower search once took for violations."""
    history = RandomRun(Random(seed), mix).run(operations)
    verdict = linearizable.check(history)
    assert verdict.validity is Validity.VALID, str(verdict)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_thousand_operations() -> None:
    """The size that a long run has; the speed is printed."""
    history = RandomRun(Random(7), Mix(processes=10, keys=20, unknown=0.01)).run(100_000)
    began_s = time.monotonic()
    verdict = linearizable.check(history)
    took_s = time.monotonic() - began_s
    print(f"\n{len(history.operations) / took_s:.0f} operations a second, {took_s:.1f} s")
    assert verdict.validity is Validity.VALID, str(verdict)
    assert verdict.checked > 90_000
