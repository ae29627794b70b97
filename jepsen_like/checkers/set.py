"""A set of keys: what was added stays, what was removed stays away.

Owns: the judgement of elements that are keys under one prefix, each put at most once and deleted
at most once. After Jepsen's set-full: lost, stale, resurrected and never-added elements are told
apart. Must never do: judge a stale read that was asked for (serializable, old revision).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from jepsen_like.checkers.verdict import Finding, Verdict, judge
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.parts import parts, possible
from jepsen_like.history.ranges import covers
from jepsen_like.history.request import Delete, Get, Put
from jepsen_like.history.result import Deleted, Found, Refused, Unknown

ADDS_MIN = 20
_FINDINGS_MAX = 10


@dataclass(slots=True)
class _Life:
    """What is known of one element."""

    key: str
    add: Operation
    remove: Operation | None = None
    last_seen: Operation | None = None
    first_missed: Operation | None = None

    @property
    def surely_added(self) -> bool:
        return not isinstance(self.add.outcome, Refused | Unknown)


@dataclass(frozen=True, slots=True)
class _Read:
    operation: Operation
    get: Get
    keys: frozenset[str]


@dataclass(slots=True)
class _Sweep:
    """The elements that a read called now must show, and those that it must not."""

    lives: dict[str, _Life]
    due: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def read(self, read: _Read) -> None:
        for key in read.keys:
            life = self.lives.get(key)
            if life is None or not _may_exist(life, read.operation):
                witness = (read.operation,) if life is None else (life.add, read.operation)
                reason = f"{key} was read {_when(read.operation)}, but no add of it took effect"
                self.findings.append(Finding(reason, witness))
            else:
                life.last_seen = read.operation
        self._resurrected(read)
        candidates = self.due if read.get.end else self.due & {read.get.key}
        for key in candidates - read.keys:
            life = self.lives[key]
            removing = life.remove is not None and life.remove.called_s <= read.operation.returned_s
            in_range = covers(read.get.key, read.get.end, key)
            if in_range and not removing and life.first_missed is None:
                life.first_missed = read.operation

    def _resurrected(self, read: _Read) -> None:
        for key in self.removed & read.keys:
            self.removed.discard(key)
            life = self.lives[key]
            assert life.remove is not None, f"{key} is in removed without a remove"
            reason = f"{key} was resurrected: removed by {_when(life.remove)}, read again"
            self.findings.append(
                Finding(f"{reason} {_when(read.operation)}", (life.remove, read.operation))
            )


def check(history: History, prefix: str = "set/", minimum: int = ADDS_MIN) -> Verdict:
    """``checked``: the acknowledged adds that a later read could show."""
    lives = _lives(history, prefix)
    reads = _reads(history, prefix)
    sweep = _Sweep(lives)
    for _, _, action, key, read in sorted(_moments(lives, reads), key=lambda moment: moment[:2]):
        if read is not None:
            sweep.read(read)
        elif action == "due":
            sweep.due.add(key)
        elif action == "leaving":
            sweep.due.discard(key)
        else:
            sweep.removed.add(key)
    sweep.findings += [_missing(life) for life in lives.values() if life.first_missed]
    sweep.findings += _removals_of_nothing(lives)
    last = max((read.operation.called_s for read in reads if read.get.end), default=0.0)
    judged = [life for life in lives.values() if life.surely_added and life.add.returned_s < last]
    findings = sweep.findings[:_FINDINGS_MAX]
    return judge("set", len(judged), "acknowledged adds", findings, minimum=minimum)


_Moment = tuple[float, int, str, str, _Read | None]


def _moments(lives: dict[str, _Life], reads: list[_Read]) -> Iterator[_Moment]:
    """At one instant a read comes before an end: what touches it is taken as concurrent."""
    for life in lives.values():
        if life.surely_added:
            yield life.add.returned_s, 2, "due", life.key, None
        if life.remove is not None:
            yield life.remove.called_s, 0, "leaving", life.key, None
            if life.surely_added and isinstance(life.remove.outcome, Deleted):
                yield life.remove.returned_s, 2, "removed", life.key, None
    for read in reads:
        yield read.operation.called_s, 1, "read", "", read


def _lives(history: History, prefix: str) -> dict[str, _Life]:
    """A delete without an answer may happen at any time: it is taken as a remove too."""
    lives: dict[str, _Life] = {}
    for operation in history.operations:
        for op in possible(operation.request):
            if isinstance(op, Put) and op.key.startswith(prefix):
                lives[op.key] = _Life(op.key, operation)
    for operation in history.requests(Delete):
        request = operation.request
        if isinstance(operation.outcome, Refused) or not isinstance(request, Delete):
            continue
        if request.key in lives:
            lives[request.key].remove = operation
    return lives


def _reads(history: History, prefix: str) -> list[_Read]:
    """Of the newest state, whole or of one key."""
    reads = []
    for operation in history.operations:
        for part in parts(operation):
            get, found = part.op, part.result
            if not isinstance(get, Get) or not isinstance(found, Found):
                continue
            if get.revision or get.limit or get.serializable or not get.key.startswith(prefix):
                continue
            reads.append(_Read(operation, get, frozenset(kv.key for kv in found.kvs)))
    return reads


def _may_exist(life: _Life, read: Operation) -> bool:
    return not isinstance(life.add.outcome, Refused) and life.add.called_s <= read.returned_s


def _missing(life: _Life) -> Finding:
    assert life.first_missed is not None, f"{life.key} was missed by no read"
    missed = life.first_missed
    reason = f"was acknowledged {_when(life.add)} and is missing from the read {_when(missed)}"
    if life.last_seen is not None and life.last_seen.called_s > missed.returned_s:
        seen = life.last_seen
        return Finding(
            f"{life.key} {reason}; a read {_when(seen)} shows it: the first was stale",
            (life.add, missed, seen),
        )
    return Finding(f"{life.key} is lost: it {reason}", (life.add, missed))


def _removals_of_nothing(lives: dict[str, _Life]) -> Iterator[Finding]:
    for life in lives.values():
        remove = life.remove
        if remove is None or not life.surely_added or life.add.returned_s >= remove.called_s:
            continue
        if isinstance(remove.outcome, Deleted) and remove.outcome.count == 0:
            reason = f"{life.key} is lost: it was acknowledged {_when(life.add)}, and its removal"
            yield Finding(f"{reason} {_when(remove)} found nothing", (life.add, remove))


def _when(operation: Operation) -> str:
    return f"at {operation.called_s:.3f}-{operation.returned_s:.3f} s"
