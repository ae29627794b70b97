"""A lock with fencing tokens: nobody updates after a newer holder took over, and no update is lost.

Owns: that judgement, and the text of an update: its element, "name@token", and the element that it
replaces, so that the updates form a chain. Two updates that replace the same element have lost one.
Must never do: count an unanswered update that nobody saw.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from jepsen_like.checkers.verdict import Finding, Verdict, judge
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.parts import parts, possible
from jepsen_like.history.request import Put
from jepsen_like.history.result import Found, Unknown

UPDATES_MIN = 20
_FINDINGS_MAX = 5  # of each kind
_REPLACES = "<"


def link(name: str, token: int, before: str) -> str:
    """The text of an update that replaces the element ``before``, "" at first."""
    return f"{name}@{token}{_REPLACES}{before}"


def element(value: str) -> str:
    return value.partition(_REPLACES)[0]


@dataclass(frozen=True, slots=True)
class _Update:
    element: str
    before: str
    token: int
    revision: int
    operation: Operation


def check(history: History, lock: str, guarded: str, minimum: int = UPDATES_MIN) -> Verdict:
    """``checked``: the updates that took effect."""
    updates = sorted(_updates(history, guarded), key=lambda each: each.revision)
    acquired = dict(_acquisitions(history, lock))
    stale = islice(_stale(updates, acquired), _FINDINGS_MAX)
    findings = [*stale, *islice(_lost(updates), _FINDINGS_MAX)]
    return judge("fencing", len(updates), "guarded updates", findings, minimum=minimum)


def _updates(history: History, guarded: str) -> Iterator[_Update]:
    seen = dict(_seen(history, guarded))
    for operation in history.operations:
        for part in parts(operation):
            if isinstance(part.op, Put) and part.op.key == guarded:
                yield _parse(part.op.value, part.revision, operation)
        if isinstance(operation.outcome, Unknown):
            for op in possible(operation.request):
                if isinstance(op, Put) and op.key == guarded and op.value in seen:
                    yield _parse(op.value, seen[op.value], operation)


def _seen(history: History, guarded: str) -> Iterator[tuple[str, int]]:
    for operation in history.operations:
        for part in parts(operation):
            if isinstance(part.result, Found):
                for kv in part.result.kvs:
                    if kv.key == guarded:
                        yield kv.value, kv.mod_revision


def _parse(value: str, revision: int, operation: Operation) -> _Update:
    mine, _, before = value.partition(_REPLACES)
    return _Update(mine, before, int(mine.rpartition("@")[2]), revision, operation)


def _acquisitions(history: History, lock: str) -> Iterator[tuple[int, Operation]]:
    """By token: the revision that created the lock's key."""
    for operation in history.operations:
        for part in parts(operation):
            if isinstance(part.op, Put) and part.op.key == lock:
                yield part.revision, operation


def _stale(updates: list[_Update], acquired: dict[int, Operation]) -> Iterator[Finding]:
    tokens = sorted(acquired)
    for update in updates:
        newest = bisect_right(tokens, update.revision) - 1
        if newest >= 0 and tokens[newest] > update.token:
            holder = acquired[tokens[newest]]
            reason = f"stale token: {update.element} took effect at revision {update.revision},"
            reason = f"{reason} after process {holder.process} had the lock as of {tokens[newest]}"
            yield Finding(reason, (holder, update.operation))


def _lost(updates: list[_Update]) -> Iterator[Finding]:
    by_before: dict[str, _Update] = {}
    for update in updates:
        first = by_before.setdefault(update.before, update)
        if first is not update:
            replaced = update.before or "nothing"
            reason = f"lost update: {first.element} and {update.element} both replaced {replaced},"
            yield Finding(
                f"{reason} so {first.element} is lost", (first.operation, update.operation)
            )
