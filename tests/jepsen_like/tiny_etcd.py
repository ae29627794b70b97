"""An etcd in one dictionary, under a clock that the test moves.

Owns: just enough of the v3 API to answer the workloads rightly, with leases, and the switches that
make it answer wrongly. Must never do: import the model that judges real runs; it stays a second
opinion.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

from jepsen_like.history.operation import Event
from jepsen_like.history.ranges import covers
from jepsen_like.history.request import (
    Compact,
    Compare,
    Delete,
    Get,
    Grant,
    KeepAlive,
    KeyOp,
    Put,
    Relation,
    Request,
    Revoke,
    Target,
    Txn,
)
from jepsen_like.history.result import (
    Answer,
    Compacted,
    Decided,
    Deleted,
    Found,
    Granted,
    KeyResult,
    KeyValue,
    Outcome,
    Refused,
    Renewed,
    Revoked,
    Written,
)

_T = TypeVar("_T", int, str)


class OutOfRange(Exception):
    """A revision that is compacted or not there yet."""


@dataclass
class Lease:
    ttl_s: int
    expires_s: float


@dataclass
class TinyEtcd:
    """``ignores_compares`` and ``ttl_factor`` (0.5: leases end early) plant bugs."""

    ignores_compares: bool = False
    ttl_factor: float = 1.0
    now_s: float = 0.0
    revision: int = 1
    compacted: int = 0
    states: list[dict[str, KeyValue]] = field(default_factory=lambda: [{}, {}])
    log: list[tuple[float, int, list[Event]]] = field(default_factory=list)
    leases: dict[int, Lease] = field(default_factory=dict)
    _events: list[Event] = field(default_factory=list)
    _draft: dict[str, KeyValue] = field(default_factory=dict)

    def advance(self, to_s: float) -> None:
        """Lets leases expire, each at its time."""
        while due := [i for i, lease in self.leases.items() if lease.expires_s <= to_s]:
            first = min(due, key=lambda i: self.leases[i].expires_s)
            self.now_s = max(self.now_s, self.leases[first].expires_s)
            self.apply(Revoke(first))
        self.now_s = max(self.now_s, to_s)

    def apply(self, request: Request) -> Outcome:
        self._draft, self._events = dict(self.states[-1]), []
        try:
            answer = self._answer(request)
        except OutOfRange as e:
            return Refused("OUT_OF_RANGE", str(e))
        except KeyError as e:
            return Refused("NOT_FOUND", f"no lease {e}")
        if self._events:
            self.revision += 1
            self.states.append(self._draft)
            self.log.append((self.now_s, self.revision, self._events))
        return answer

    def _answer(self, request: Request) -> Answer:
        match request:
            case Get() | Put() | Delete():
                return self._run(request)
            case Txn():
                holds = self.ignores_compares or all(map(self._holds, request.compares))
                branch = request.success if holds else request.failure
                results = [self._run(op) for op in branch]
                return Decided(self._next(), holds, tuple(self._at_last(r) for r in results))
            case Compact():
                if not self.compacted < request.revision <= self.revision:
                    raise OutOfRange(f"revision {request.revision}")
                self.compacted = request.revision
                return Compacted(self.revision)
            case Grant():
                expires_s = self.now_s + request.ttl_s * self.ttl_factor
                self.leases[request.id] = Lease(request.ttl_s, expires_s)
                return Granted(self.revision, request.id, request.ttl_s)
            case KeepAlive():
                if request.id not in self.leases:
                    return Renewed(self.revision, 0)
                lease = self.leases[request.id]
                lease.expires_s = self.now_s + lease.ttl_s * self.ttl_factor
                return Renewed(self.revision, lease.ttl_s)
            case Revoke():
                self.leases.pop(request.id)
                for kv in [kv for kv in self._draft.values() if kv.lease == request.id]:
                    self._delete(kv)
                return Revoked(self._next())

    def _run(self, op: KeyOp) -> KeyResult:
        match op:
            case Get():
                return self._get(op)
            case Put():
                if op.lease:
                    self.leases[op.lease]
                old = self._draft.get(op.key)
                revision = self.revision + 1
                created, version = (old.create_revision, old.version + 1) if old else (revision, 1)
                kv = KeyValue(op.key, op.value, created, revision, version, op.lease)
                self._draft[op.key] = kv
                self._events.append(Event(False, kv, old))
                return Written(revision)
            case Delete():
                gone = [kv for k, kv in self._draft.items() if covers(op.key, op.end, k)]
                for kv in gone:
                    self._delete(kv)
                return Deleted(self._next(), len(gone))

    def _get(self, get: Get) -> Found:
        state = self._draft
        if get.revision:
            if not self.compacted <= get.revision <= self.revision:
                raise OutOfRange(f"revision {get.revision}")
            state = self.states[get.revision]
        found = [state[key] for key in sorted(state) if covers(get.key, get.end, key)]
        shown = found[: get.limit] if get.limit else found
        return Found(self._next(), tuple(shown), len(found), len(shown) < len(found))

    def _delete(self, kv: KeyValue) -> None:
        del self._draft[kv.key]
        tombstone = KeyValue(kv.key, "", 0, self.revision + 1, 0)
        self._events.append(Event(True, tombstone, kv))

    def _next(self) -> int:
        return self.revision + bool(self._events)

    def _at_last(self, result: KeyResult) -> KeyResult:
        return replace(result, revision=self._next())

    def _holds(self, compare: Compare) -> bool:
        kv = self._draft.get(compare.key)
        if compare.target is Target.VALUE:
            return kv is not None and _relates(kv.value, compare.relation, str(compare.operand))
        fields = {
            Target.VERSION: kv.version if kv else 0,
            Target.CREATE: kv.create_revision if kv else 0,
            Target.MOD: kv.mod_revision if kv else 0,
            Target.LEASE: kv.lease if kv else 0,
        }
        return _relates(fields[compare.target], compare.relation, int(compare.operand))


def _relates(left: _T, relation: Relation, right: _T) -> bool:
    match relation:
        case Relation.EQUAL:
            return left == right
        case Relation.NOT_EQUAL:
            return left != right
        case Relation.LESS:
            return left < right
        case Relation.GREATER:
            return left > right
