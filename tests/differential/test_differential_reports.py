"""A difference is noticed, and told as a program that shows it again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.differential import replay as replaying
from tests.differential.known_differences import KNOWN, expected
from tests.differential.operations import (
    Bytes,
    ChosenLease,
    KeepAlive,
    Operation,
    Rev,
    Unary,
    WatchCancel,
    WatchCreate,
    WatchProgress,
    resolve,
    script,
)
from tests.differential.store import Outcome

OPERATIONS: list[Operation] = [
    Unary("KV/Range", {"key": b"\xff", "revision": Rev(2)}, 1),
    Bytes("KV/Put", b"\0\x01"),
    KeepAlive((7000, ChosenLease(1))),
    WatchCreate({"key": b"a", "start_revision": Rev(-1)}),
    WatchCancel(3),
    WatchProgress(),
]


def test_the_printed_program_plays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program, run, hands the very operations to ``replay``."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(replaying, "replay", lambda **arguments: given.update(arguments))
    exec(compile(script(OPERATIONS, members=3), "printed", "exec"), {})
    assert given == {"members": 3, "operations": OPERATIONS}


def test_symbols_become_numbers() -> None:
    """Revisions count from the base, chosen leases are the server's; also inside of lists."""
    fields = {"a": [Rev(2), {"b": ChosenLease(3)}], "c": Rev(-1)}
    assert resolve(fields, 10, [71, 72]) == {"a": [12, {"b": 72}], "c": 9}
    assert resolve(ChosenLease(0), 10, []) == 6999


@pytest.mark.parametrize(
    "other",
    [
        Outcome({"count": 2}),
        Outcome({"count": 1, "more": True}),
        Outcome(code="OUT_OF_RANGE"),
        Outcome({}),
    ],
)
def test_no_known_difference_covers_another(other: Outcome) -> None:
    """A wrong count, a field too many, an error: nothing in the table explains it."""
    ours = Outcome({"count": 1})
    for operation in (Unary("KV/Range", {"key": b"a"}), Unary("KV/Txn", {"success": []})):
        assert expected(operation, ours, other) == other


def test_known_differences_have_reasons() -> None:
    """Every row says why, under a name of its own."""
    assert len({known.name for known in KNOWN}) == len(KNOWN)
    assert all(len(known.reason) > 20 for known in KNOWN)
