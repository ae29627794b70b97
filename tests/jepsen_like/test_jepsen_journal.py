"""The journal: what was written is what is read, and damage is named by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from jepsen_like.history.history import History
from jepsen_like.history.journal import load, save
from jepsen_like.history.operation import (
    Event,
    Fault,
    MemberState,
    Operation,
    Watch,
    WatchResponse,
)
from jepsen_like.history.request import Compare, Get, Put, Relation, Target, Txn
from jepsen_like.history.result import Decided, Found, KeyValue, Refused, Unknown, Written

_KV = KeyValue("k", 'v"\n', 2, 3, 2)
_TXN = Txn((Compare("k", Target.MOD, Relation.EQUAL, 3),), (Put("k", "w"), Get("k")))
_WATCH = Watch(3, "m1", "k", "l", 5, True, 0.1, 2.0, [WatchResponse(0.2, 4, (Event(True, _KV),))])


def _history() -> History:
    return History(
        settings={"seed": 7, "workload": "mix"},
        operations=[
            Operation(1, "m0", 0.5, 0.75, Put("k", 'v"\n'), Written(3)),
            Operation(1, "m0", 1.0, 2.0, _TXN, Decided(4, True, (Written(4), Found(4, (_KV,), 1)))),
            Operation(2, "m0", 1.0, 2.0, Get("k", revision=1), Refused("OUT_OF_RANGE", "gone")),
            Operation(2, "m0", 3.0, 4.0, Put("k", "x"), Unknown("UNAVAILABLE", "lost")),
        ],
        watches=[_WATCH],
        faults=[Fault("kill", 1.0, 2.0, "m0")],
        finals=[MemberState("m0", 4, 0, 123)],
    )


def test_a_saved_history_is_read_back_equal(tmp_path: Path) -> None:
    """Every kind of record survives the way to disk and back."""
    history = _history()
    save(history, tmp_path / "history.jsonl")
    assert load(tmp_path / "history.jsonl") == history


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    """A history that was cut or edited is refused with the number of the line."""
    path = tmp_path / "history.jsonl"
    save(_history(), path)
    path.write_text(path.read_text()[:-5])
    with pytest.raises(ValueError, match=r"history.jsonl, line 8:"):
        load(path)


def test_only_writes_without_an_answer_are_open() -> None:
    """An unanswered read leaves nothing behind; a refused write neither."""
    history = _history()
    assert [o.request for o in history.unknown_writes] == [Put("k", "x")]
    assert len(history.answered) == 2
