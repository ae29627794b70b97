"""What a right etcd answers: keys, revisions, compaction and leases, one request at a time.

Owns: EtcdModel. Must never do: know time; a lease ends when ``expire`` is called. The rules are
those of etcd's apply: a refused request leaves nothing behind, and the answer's header has the
revision after the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jepsen_like.history.operation import Event
from jepsen_like.history.request import (
    Compact,
    Delete,
    Get,
    Grant,
    KeepAlive,
    KeyOp,
    Put,
    Request,
    Revoke,
    Txn,
)
from jepsen_like.history.result import (
    Answer,
    Compacted,
    Decided,
    Granted,
    Refused,
    Renewed,
    Revoked,
)
from jepsen_like.model.keyspace import KeySpace, covers
from jepsen_like.model.refusals import (
    COMPACTED,
    DUPLICATE_KEY,
    FUTURE,
    LEASE_EXISTS,
    LEASE_NOT_FOUND,
)

NOTHING_COMPACTED = -1  # etcd's own start: a compaction at 0 is allowed, once


class EtcdModel:
    """One store. ``leases``: id -> the ttl that was asked for."""

    def __init__(self) -> None:
        self.keys = KeySpace()
        self.compact_revision = NOTHING_COMPACTED
        self.leases: dict[int, int] = {}

    @property
    def revision(self) -> int:
        return self.keys.revision

    def events(self, revision: int) -> tuple[Event, ...]:
        return self.keys.events(revision)

    def step(self, request: Request) -> Answer | Refused:
        match request:
            case Get():
                return self._refused_get(request) or self.keys.get(request)
            case Put() | Delete():
                return self._refused_ops((request,)) or self.keys.run((request,))[0]
            case Txn():
                return self._txn(request)
            case Compact():
                return self._compact(request)
            case Grant():
                if request.id in self.leases:
                    return LEASE_EXISTS
                self.leases[request.id] = request.ttl_s
                return Granted(self.revision, request.id, request.ttl_s)
            case Revoke():
                if request.id not in self.leases:
                    return LEASE_NOT_FOUND
                self.expire(request.id)
                return Revoked(self.revision)
            case KeepAlive():
                return Renewed(self.revision, self.leases.get(request.id, 0))

    def expire(self, lease: int) -> None:
        """The lease ends, and with it its keys, in one revision."""
        del self.leases[lease]
        self.keys.drop_lease(lease)

    def _txn(self, txn: Txn) -> Decided | Refused:
        if writes_twice(txn.success) or writes_twice(txn.failure):
            return DUPLICATE_KEY
        succeeded = all(self.keys.holds(compare) for compare in txn.compares)
        ops = txn.success if succeeded else txn.failure
        refused = self._refused_ops(ops)
        if refused:
            return refused
        results = self.keys.run(ops)
        return Decided(self.revision, succeeded, results)

    def _compact(self, request: Compact) -> Compacted | Refused:
        if request.revision <= self.compact_revision:
            return COMPACTED
        if request.revision > self.revision:
            return FUTURE
        self.compact_revision = request.revision
        return Compacted(self.revision)

    def _refused_ops(self, ops: Iterable[KeyOp]) -> Refused | None:
        """Of the branch that was taken, before its first write."""
        for op in ops:
            if isinstance(op, Put) and op.lease and op.lease not in self.leases:
                return LEASE_NOT_FOUND
            if isinstance(op, Get) and (refused := self._refused_get(op)):
                return refused
        return None

    def _refused_get(self, get: Get) -> Refused | None:
        if get.revision > self.revision:
            return FUTURE
        if 0 < get.revision < self.compact_revision:
            return COMPACTED
        return None


def writes_twice(ops: Sequence[KeyOp]) -> bool:
    """Whether a branch puts a key that it also puts or deletes, which etcd refuses."""
    puts = [op.key for op in ops if isinstance(op, Put)]
    deletes = [op for op in ops if isinstance(op, Delete)]
    return len(set(puts)) < len(puts) or any(
        covers(delete.key, delete.end, key) for delete in deletes for key in puts
    )
