"""An election: leaders follow one another, and none speaks after its successor.

Owns: that judgement. A term is the create_revision of the leader's key. By revision, the terms of
proclamations and of the leaders that reads show never go back; a term is one process's. Must never
do: judge a proclamation without an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jepsen_like.checkers.verdict import Finding, Verdict, judge
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Get, Put, Target, Txn
from jepsen_like.history.result import Decided, Found

PROCLAMATIONS_MIN = 20
_FINDINGS_MAX = 10


@dataclass(frozen=True, slots=True)
class _Leader:
    """Who led, as of ``revision``."""

    revision: int
    term: int
    proclaimed: bool
    operation: Operation

    def __str__(self) -> str:
        how = "proclaimed" if self.proclaimed else "was seen to lead"
        return f"term {self.term} {how} at revision {self.revision}"


def check(history: History, prefix: str, minimum: int = PROCLAMATIONS_MIN) -> Verdict:
    """``checked``: the proclamations."""
    proclaimed = list(_proclamations(history, prefix))
    leaders = [*proclaimed, *_seen(history, prefix)]
    leaders.sort(key=lambda leader: (leader.revision, not leader.proclaimed))
    findings = [*_backwards(leaders), *_shared(proclaimed)][:_FINDINGS_MAX]
    return judge("election", len(proclaimed), "proclamations", findings, minimum=minimum)


def _proclamations(history: History, prefix: str) -> Iterator[_Leader]:
    """A put guarded by its own key's create_revision; guarded by 0 it is a campaign."""
    for operation in history.operations:
        request, decided = operation.request, operation.outcome
        if not isinstance(request, Txn) or not isinstance(decided, Decided):
            continue
        if not decided.succeeded or len(request.compares) != 1:
            continue
        guard, puts = request.compares[0], request.success
        if guard.target is not Target.CREATE or not guard.key.startswith(prefix):
            continue
        if guard.operand and any(isinstance(op, Put) and op.key == guard.key for op in puts):
            yield _Leader(decided.revision, int(guard.operand), True, operation)


def _seen(history: History, prefix: str) -> Iterator[_Leader]:
    for operation in history.operations:
        get, found = operation.request, operation.outcome
        if not isinstance(get, Get) or not isinstance(found, Found):
            continue
        if get.key != prefix or not get.end or get.revision or get.limit or get.serializable:
            continue
        if found.kvs:
            term = min(kv.create_revision for kv in found.kvs)
            yield _Leader(found.revision, term, False, operation)


def _backwards(leaders: list[_Leader]) -> Iterator[Finding]:
    newest: _Leader | None = None
    for leader in leaders:
        if newest is not None and leader.term < newest.term:
            reason = f"two leaders: {leader}, after {newest}"
            yield Finding(reason, (newest.operation, leader.operation))
        elif newest is None or leader.term > newest.term:
            newest = leader


def _shared(proclaimed: list[_Leader]) -> Iterator[Finding]:
    owners: dict[int, _Leader] = {}
    for leader in proclaimed:
        owner = owners.setdefault(leader.term, leader)
        if owner.operation.process != leader.operation.process:
            reason = f"term {leader.term} belongs to processes {owner.operation.process}"
            reason = f"{reason} and {leader.operation.process}"
            yield Finding(reason, (owner.operation, leader.operation))
