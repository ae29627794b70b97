"""Who may have made a revision that no answer claims.

Owns: Candidate and Candidates: unanswered writes, revokes whose answer does not tell whether they
deleted, and leases that ran out. Must never do: choose; the likeliest is only named first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jepsen_like.checkers.answers import Range, footprint
from jepsen_like.checkers.evidence import Evidence, branch, made_puts, puts
from jepsen_like.history.operation import Event, Operation
from jepsen_like.history.request import Delete, Get, Put, Revoke, Txn
from jepsen_like.history.result import KeyValue
from jepsen_like.model.keyspace import KeySpace, covers


@dataclass(frozen=True, slots=True)
class Candidate:
    """``operation`` None: lease ``lease`` ran out."""

    operation: Operation | None
    lease: int = 0

    def run(self, keys: KeySpace) -> None:
        request = self.operation.request if self.operation else Revoke(self.lease)
        match request:
            case Put() | Delete() | Get():
                keys.run((request,))
            case Txn():
                succeeded = all(keys.holds(compare) for compare in request.compares)
                keys.run(branch(request, succeeded))
            case Revoke():
                keys.drop_lease(request.id)
            case _:
                raise TypeError(f"{request} writes nothing")

    def ranges(self, keys: KeySpace) -> list[Range]:
        if self.operation and not isinstance(self.operation.request, Revoke):
            return footprint(self.operation.request)
        return [(key, "") for key in keys.attached.get(self.lease, ())]


class Candidates:
    """Of all unanswered writes, each used once."""

    def __init__(self, evidence: Evidence, unknown: Sequence[Operation], keys: KeySpace) -> None:
        self._evidence = evidence
        self._unknown = sorted(unknown, key=lambda o: o.called_s, reverse=True)
        self._keys = keys
        self._used: dict[int, int] = {}  # revision -> id of the operation
        self._ends: dict[int, int] = {}  # revision -> the lease that was taken to end there
        self._by_put: dict[tuple[str, str], list[Operation]] = defaultdict(list)
        for operation in self._unknown:
            for put in set(puts(operation)):
                self._by_put[put.key, put.value].append(operation)
        self._claims = self._claimed()
        self._ranges = {id(o): footprint(o.request) for o in unknown}
        self._first_called_s: dict[Range, float] = {}
        for operation in self._unknown:  # the last called first, so the earliest stays
            for written in self._ranges[id(operation)]:
                self._first_called_s[written] = operation.called_s
        self._ends_after = _lived_until(evidence)

    def of(self, revision: int, most: int) -> list[Candidate]:
        """The ``most`` likeliest that fit, those called last first, at the state before
        ``revision``; of equal requests one."""
        found: list[Candidate] = []
        requests: set[object] = set()
        for candidate in self._possible(revision):
            request = candidate.operation.request if candidate.operation else None
            request = Revoke(candidate.lease) if candidate.lease else request
            if request not in requests and self._fits(revision, candidate):
                requests.add(request)
                found.append(candidate)
                if len(found) == most:
                    break
        return found

    def reach(self, revision: int) -> set[Range]:
        """All that anything which might have made ``revision`` reads or writes, also what was
        found not to fit: it may fit after other guesses."""
        deadline = self._evidence.deadline(revision)
        if next(self._seen_values(revision), None) is not None:
            writers = [o for o in self._writers(revision) if o.called_s < deadline]
            return {r for operation in writers for r in self._ranges[id(operation)]}
        reached = {r for r, called_s in self._first_called_s.items() if called_s < deadline}
        reached |= {(key, "") for keys in self._keys.attached.values() for key in keys}
        return reached

    def use(self, revision: int, candidate: Candidate) -> None:
        if candidate.operation is not None:
            self._used[revision] = id(candidate.operation)
        if candidate.lease:
            self._ends[revision] = candidate.lease

    def release(self, revision: int) -> None:
        """``revision`` and all after it."""
        self._used = {r: o for r, o in self._used.items() if r < revision}
        self._ends = {r: lease for r, lease in self._ends.items() if r < revision}

    # --- which are possible -----------------------------------------------------------------------

    def _possible(self, revision: int) -> Iterator[Candidate]:
        for operation in self._evidence.seen.get(revision, ()):
            if isinstance(operation.request, Revoke):
                yield Candidate(operation, operation.request.id)
        used = set(self._used.values())
        deadline = self._evidence.deadline(revision)
        for operation in self._writers(revision):
            if operation.called_s >= deadline or id(operation) in used:
                continue
            if self._claims.get(id(operation), revision) == revision:
                request = operation.request
                lease = request.id if isinstance(request, Revoke) else 0
                if lease or self._may_write(revision, operation):
                    yield Candidate(operation, lease)
        for lease in sorted(self._keys.attached):
            if self._keys.attached[lease] and self._ends_after.get(lease, 0) < revision:
                yield Candidate(None, lease)

    def _may_write(self, revision: int, operation: Operation) -> bool:
        """The cheap half of ``_fits``: its keys, whatever the state is."""
        request = operation.request
        if isinstance(request, Put) and self._evidence.untouched(request.key, revision):
            return False
        ranges = self._ranges[id(operation)]
        return all(
            any(covers(*written, key) for written in ranges)
            for key in self._evidence.keys_of(revision)
        )

    def _writers(self, revision: int) -> Sequence[Operation]:
        """Where a value was seen, only those that put it."""
        for key, value in self._seen_values(revision):
            return self._by_put.get((key, value), [])
        return self._unknown

    def _seen_values(self, revision: int) -> Iterator[tuple[str, str]]:
        for key, kv in self._evidence.values.get(revision, {}).items():
            yield key, kv.value
        for key, event in self._evidence.events.get(revision, {}).items():
            if not event.is_delete:
                yield key, event.kv.value

    def _claimed(self) -> dict[int, int]:
        """Unanswered writes of which only one revision can be: a value that only they put was
        seen there."""
        claims: dict[int, int] = {}
        evidence = self._evidence
        for revision in evidence.gaps:
            for seen in self._seen_values(revision):
                operations = self._by_put.get(seen, [])
                if len(operations) == 1:
                    claims.setdefault(id(operations[0]), revision)
        return claims

    # --- which fit --------------------------------------------------------------------------------

    def _fits(self, revision: int, candidate: Candidate) -> bool:
        before = self._keys.revision
        candidate.run(self._keys)
        events = self._keys.events(revision)
        self._keys.truncate(before)
        return (
            bool(events)
            and all(self._lives(e.kv.lease, revision) for e in events if e.kv.lease)
            and self._agrees(revision, {event.kv.key: event for event in events})
        )

    def _lives(self, lease: int, revision: int) -> bool:
        """Whether a put of ``revision`` may have used it."""
        lives = self._evidence.lives
        if not lives.granted(lease, self._evidence.deadline(revision), revision - 1):
            return False
        ended = lives.ended(lease, revision) is not None or lease in self._ends.values()
        return not ended or not lives.once(lease)

    def _agrees(self, revision: int, events: dict[str, Event]) -> bool:
        evidence = self._evidence
        for key, kv in evidence.values.get(revision, {}).items():
            event = events.get(key)
            if event is None or event.is_delete or _content(event.kv) != _content(kv):
                return False
        for key in evidence.created.get(revision, ()):
            event = events.get(key)
            if event is None or event.kv.create_revision != revision:
                return False
        for key, seen in evidence.events.get(revision, {}).items():
            event = events.get(key)
            if event is None or event.is_delete != seen.is_delete:
                return False
            if not seen.is_delete and _content(event.kv) != _content(seen.kv):
                return False
        return not any(evidence.untouched(key, revision) for key in events)


def _content(kv: KeyValue) -> tuple[str, int]:
    """What the write itself decides; the rest depends on those before it."""
    return kv.value, kv.lease


def _lived_until(evidence: Evidence) -> dict[int, int]:
    """The last revision at which an answered put or revoke used each lease that was granted only
    once: it did not run out before."""
    last: dict[int, int] = {}
    for answers in (evidence.written, evidence.seen):
        for revision, operations in answers.items():
            for operation in operations:
                for lease in _leases(operation):
                    if evidence.lives.once(lease):
                        last[lease] = max(last.get(lease, 0), revision)
    return last


def _leases(operation: Operation) -> list[int]:
    if isinstance(operation.request, Revoke):
        return [operation.request.id]
    return [put.lease for put in made_puts(operation) if put.lease]
