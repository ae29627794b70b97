"""One committed entry to one deterministic state change.

Owns: the order of a batch's requests, which handler takes which kind, and the newest batch applied
per origin. Must never do: wait, read a clock, draw a random number, or let a request's outcome
depend on the member it is applied at: only the header of a reply differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from raftkv.apply.alarm import apply_alarm
from raftkv.apply.alarm_book import AlarmBook
from raftkv.apply.batch import Batch, RequestKind
from raftkv.apply.compact import apply_compact
from raftkv.apply.delete_range import apply_delete_range
from raftkv.apply.header import HeaderEncoder
from raftkv.apply.lease import (
    apply_lease_checkpoints,
    apply_lease_expiry,
    apply_lease_grant,
    apply_lease_revoke,
)
from raftkv.apply.membership import apply_member_attributes, apply_member_update
from raftkv.apply.put import apply_put
from raftkv.apply.refusal import refusal
from raftkv.apply.state import Handler, State
from raftkv.apply.txn import apply_txn
from raftkv.backend.environment import Backend
from raftkv.errors import Corrupt, RaftKVError, RequestTimeout
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.store import Store

Outcome = bytes | RaftKVError


_HANDLERS: dict[int, Handler] = {
    int(RequestKind.PUT): apply_put,
    int(RequestKind.DELETE_RANGE): apply_delete_range,
    int(RequestKind.TXN): apply_txn,
    int(RequestKind.COMPACT): apply_compact,
    int(RequestKind.LEASE_GRANT): apply_lease_grant,
    int(RequestKind.LEASE_REVOKE): apply_lease_revoke,
    int(RequestKind.LEASE_EXPIRY): apply_lease_expiry,
    int(RequestKind.LEASE_CHECKPOINTS): apply_lease_checkpoints,
    int(RequestKind.MEMBER_ATTRIBUTES): apply_member_attributes,
    int(RequestKind.MEMBER_UPDATE): apply_member_update,
    int(RequestKind.ALARM): apply_alarm,
}

_OF_MEMBERS = frozenset((int(RequestKind.MEMBER_ATTRIBUTES), int(RequestKind.MEMBER_UPDATE)))


class Applier:
    """``sequences`` is the newest batch applied of each origin. Its owner stores it with the
    applied index and sets it anew after a snapshot. ``members_changed`` is called when a
    request has changed a member's row."""

    def __init__(
        self,
        store: Store,
        backend: Backend,
        leases: LeaseBook,
        *,
        cluster_id: int,
        member_id: int,
        sequences: Mapping[int, int] | None = None,
    ) -> None:
        self.sequences = dict(sequences or {})
        self.applied: Counter[int] = Counter()
        """Requests by kind that had an effect since the start, for metrics."""
        self.members_changed: Callable[[], None] = lambda: None
        self.alarms = AlarmBook(backend)
        self._state = State(store, backend, leases, self.alarms)
        self._cluster_id = cluster_id
        self._member_id = member_id
        self._header = HeaderEncoder(cluster_id, member_id, 0)

    def apply(
        self, entry_index: int, entry_term: int, batch: Batch, *, want_replies: bool
    ) -> list[Outcome] | None:
        """One outcome per request: the encoded reply, or the error that left no effect.

        Raises Corrupt for an entry that this version cannot apply: to skip what other members
        apply is to diverge from them.
        """
        if batch.sequence <= self.sequences.get(batch.origin, 0):
            # Raft may commit a forwarded batch twice, or after a later one of the same origin.
            late = RequestTimeout(f"batch {batch.sequence} came after a later one")
            return [late] * len(batch.requests) if want_replies else None
        self.sequences[batch.origin] = batch.sequence
        self._state.entry_term = entry_term
        header = self._header_at(entry_term) if want_replies else None
        outcomes: list[Outcome] = []
        for kind, payload in batch.requests:
            handler = _HANDLERS.get(kind)
            if handler is None:
                raise Corrupt(
                    f"entry {entry_index} holds a request of unknown kind {kind}: "
                    f"run a version that is not older than the other members'"
                )
            refused = self._refusal(kind, payload)
            if refused is not None:
                outcomes.append(refused)
                continue
            try:
                outcomes.append(handler(self._state, payload, header))
                self.applied[kind] += 1
            except Corrupt:
                raise
            except RaftKVError as error:
                outcomes.append(error.with_traceback(None))
            if kind in _OF_MEMBERS:
                self.members_changed()
        return outcomes if want_replies else None

    def _refusal(self, kind: int, payload: bytes) -> RaftKVError | None:
        alarms = self.alarms
        if not alarms.no_space and not alarms.corrupt:
            return None
        try:
            return refusal(alarms, kind, payload)
        except RaftKVError as error:
            return error.with_traceback(None)

    def _header_at(self, term: int) -> HeaderEncoder:
        if self._header.raft_term != term:
            self._header = HeaderEncoder(self._cluster_id, self._member_id, term)
        return self._header
