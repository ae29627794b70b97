"""What a history tells of each revision: who wrote it, who saw it, and when it was first seen.

Owns: Evidence, gathered in one pass, and which answers are writes. Must never do: place a write;
that is ``replaying``. Every answer's header tells a revision, so most of the order is simply read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from jepsen_like.checkers.coverage import Coverage
from jepsen_like.checkers.lives import Lives
from jepsen_like.history.history import History
from jepsen_like.history.operation import Event, Operation
from jepsen_like.history.request import (
    Compare,
    Delete,
    Get,
    KeyOp,
    Put,
    Relation,
    Target,
    Txn,
)
from jepsen_like.history.result import (
    Decided,
    Deleted,
    Found,
    KeyValue,
    Refused,
    Renewed,
    Unknown,
    Written,
)
from jepsen_like.model.keyspace import FIRST_REVISION

NEVER = float("inf")


def wrote(operation: Operation) -> bool:
    """Whether the answer itself says that a revision was made. A Revoked does not tell."""
    match operation.outcome:
        case Written():
            return True
        case Deleted(count=count):
            return count > 0
        case Decided(results=results):
            return any(
                isinstance(r, Written) or (isinstance(r, Deleted) and r.count > 0) for r in results
            )
        case _:
            return False


def branch(txn: Txn, succeeded: bool) -> tuple[KeyOp, ...]:
    return txn.success if succeeded else txn.failure


def reads(operation: Operation) -> Iterator[tuple[Get, Found]]:
    """Each Get that was answered, alone or inside a txn."""
    request, outcome = operation.request, operation.outcome
    if isinstance(request, Get) and isinstance(outcome, Found):
        yield request, outcome
    elif isinstance(request, Txn) and isinstance(outcome, Decided):
        ops = branch(request, outcome.succeeded)
        for op, result in zip(ops, outcome.results, strict=False):
            if isinstance(op, Get) and isinstance(result, Found):
                yield op, result


@dataclass(slots=True)
class Evidence:
    """``last`` is the newest revision that anything shows."""

    written: dict[int, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    seen: dict[int, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    values: dict[int, dict[str, KeyValue]] = field(default_factory=lambda: defaultdict(dict))
    created: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    events: dict[int, dict[str, Event]] = field(default_factory=lambda: defaultdict(dict))
    lives: Lives = field(default_factory=lambda: Lives(History()))
    coverage: Coverage = field(default_factory=lambda: Coverage(()))
    last: int = FIRST_REVISION
    _first_seen_s: dict[int, float] = field(default_factory=dict)
    _deadlines: list[float] = field(default_factory=list)
    _told: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _put: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _witnesses: dict[int, Operation] = field(default_factory=dict)
    _sightings: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def gaps(self) -> list[int]:
        """Revisions that no answer claims."""
        return [r for r in range(FIRST_REVISION + 1, self.last + 1) if r not in self.written]

    def deadline(self, revision: int) -> float:
        """When ``revision``, or one after it, was first shown: its writer called before that."""
        return self._deadlines[revision]

    def untouched(self, key: str, revision: int) -> bool:
        """Whether a read shows that ``revision`` did not change ``key``: an older value later."""
        sightings = self._sightings.get(key, [])
        first = bisect_left(sightings, (revision, 0))
        return first < len(sightings) and sightings[first][1] < revision

    def settled(self, key: str, revision: int, *, version: bool) -> int:
        """The last revision before ``revision`` at which an answer tells what ``key`` was: a read
        tells all, a put all but its ``version`` and create_revision."""
        found = _last_before(self._told.get(key, []), revision)
        return found if version else max(found, _last_before(self._put.get(key, []), revision))

    def keys_of(self, revision: int) -> set[str]:
        """What was read or watched of it."""
        return (
            self.values.get(revision, {}).keys()
            | self.events.get(revision, {}).keys()
            | self.created.get(revision, set())
        )

    def seen_ops(self, revision: int) -> list[Put | Delete]:
        """The writes that would make what was read or watched of ``revision``."""
        ops: dict[str, Put | Delete] = {}
        for key, event in self.events.get(revision, {}).items():
            kv = event.kv
            ops[key] = Delete(key) if event.is_delete else Put(key, kv.value, kv.lease)
        for key, kv in self.values.get(revision, {}).items():
            ops[key] = Put(key, kv.value, kv.lease)
        return [ops[key] for key in sorted(ops)]

    def witness(self, revision: int) -> Operation | None:
        """The first that read something of it, or has it in its header."""
        return self._witnesses.get(revision)

    def notice(self, revision: int, at_s: float, operation: Operation | None = None) -> None:
        self.last = max(self.last, revision)
        if operation is not None:
            self._witnesses.setdefault(revision, operation)
        if at_s < self._first_seen_s.get(revision, NEVER):
            self._first_seen_s[revision] = at_s

    def told(self, key: str, revision: int) -> None:
        """A read, at ``revision``, found ``key`` or found that it was not there."""
        self._told[key].append(revision)

    def put(self, key: str, revision: int) -> None:
        self._put[key].append(revision)

    def sight(self, key: str, revision: int, mod_revision: int) -> None:
        """At ``revision`` the key's newest change was ``mod_revision``."""
        self._sightings[key].append((revision, mod_revision))

    def finish(self) -> None:
        """Makes the two look-ups: both are minima over all later revisions."""
        self._deadlines = [NEVER] * (self.last + 3)
        for revision in range(self.last, -1, -1):
            seen_s = self._first_seen_s.get(revision, NEVER)
            self._deadlines[revision] = min(seen_s, self._deadlines[revision + 1])
        for revisions in (*self._told.values(), *self._put.values()):
            revisions.sort()
        for sightings in self._sightings.values():
            sightings.sort()
            lowest = sightings[-1][1]
            for i in range(len(sightings) - 1, -1, -1):
                lowest = min(lowest, sightings[i][1])
                sightings[i] = (sightings[i][0], lowest)


def gather(history: History) -> Evidence:
    evidence = Evidence(coverage=Coverage(history.watches), lives=Lives(history))
    answered = [o for o in history.operations if not isinstance(o.outcome, Refused | Unknown)]
    for operation in answered:
        _place(evidence, operation)
    for operation in answered:
        _read(evidence, operation)
    for watch in history.watches:
        for response in watch.responses:
            if not response.canceled:  # etcd's cancel of a far start has a header all its own
                evidence.notice(response.revision, response.at_s)
            for event in response.events:
                revision = event.kv.mod_revision
                evidence.notice(revision, response.at_s)
                known = evidence.events[revision].setdefault(event.kv.key, event)
                if event.prev and not known.prev:
                    evidence.events[revision][event.kv.key] = event
    evidence.finish()
    return evidence


def _place(evidence: Evidence, operation: Operation) -> None:
    """A renewal's header comes from the member that was asked, which may lag: it only shows."""
    outcome = operation.outcome
    assert not isinstance(outcome, Refused | Unknown), f"{operation} has no answer"
    evidence.notice(outcome.revision, operation.returned_s, operation)
    if wrote(operation):
        evidence.written[outcome.revision].append(operation)
        for put in made_puts(operation):
            evidence.put(put.key, outcome.revision)
    elif not isinstance(outcome, Renewed):
        evidence.seen[outcome.revision].append(operation)


def _read(evidence: Evidence, operation: Operation) -> None:
    for get, found in reads(operation):
        if not get.revision:  # an old revision is compared only when its header's is replayed
            for key in {get.key} if not get.end else {kv.key for kv in found.kvs}:
                evidence.told(key, found.revision)
        for kv in found.kvs:
            evidence.sight(kv.key, get.revision or found.revision, kv.mod_revision)
            if kv.mod_revision not in evidence.written:
                evidence.notice(kv.mod_revision, operation.returned_s, operation)
                evidence.values[kv.mod_revision].setdefault(kv.key, kv)
            if kv.create_revision not in evidence.written:
                evidence.created[kv.create_revision].add(kv.key)
    request, outcome = operation.request, operation.outcome
    if isinstance(request, Txn) and isinstance(outcome, Decided) and outcome.succeeded:
        before = outcome.revision - wrote(operation)
        for compare in request.compares:
            if _pins(compare):
                assert isinstance(compare.operand, int)
                evidence.sight(compare.key, before, compare.operand)


def _last_before(revisions: list[int], revision: int) -> int:
    index = bisect_left(revisions, revision)
    return revisions[index - 1] if index else 0


def _pins(compare: Compare) -> bool:
    return (
        compare.target is Target.MOD
        and compare.relation is Relation.EQUAL
        and isinstance(compare.operand, int)
        and compare.operand > 0
    )


def puts(operation: Operation) -> Iterator[Put]:
    """Every put that the request may make, in either branch."""
    request = operation.request
    if isinstance(request, Put):
        yield request
    elif isinstance(request, Txn):
        for op in request.success + request.failure:
            if isinstance(op, Put):
                yield op


def made_puts(operation: Operation) -> Iterator[Put]:
    """Every put that the answer says was made."""
    request, outcome = operation.request, operation.outcome
    if isinstance(request, Txn) and isinstance(outcome, Decided):
        for op in branch(request, outcome.succeeded):
            if isinstance(op, Put):
                yield op
    elif isinstance(request, Put) and isinstance(outcome, Written):
        yield request
