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
from raftkv.apply.auth import AUTH_HANDLERS
from raftkv.apply.authorization import OF_CLIENTS, authorization_of
from raftkv.apply.batch import Batch, RequestKind
from raftkv.apply.behalf import decode_as_member, decode_as_user
from raftkv.apply.compact import apply_compact
from raftkv.apply.delete_range import apply_delete_range
from raftkv.apply.header import HeaderEncoder
from raftkv.apply.lease import (
    apply_lease_checkpoints,
    apply_lease_expiry,
    apply_lease_grant,
    apply_lease_revoke,
)
from raftkv.apply.level import LEVEL_0_2, ClusterLevel
from raftkv.apply.level_change import apply_cluster_level
from raftkv.apply.membership import apply_member_attributes, apply_member_update
from raftkv.apply.prefix_quota import apply_prefix_quota, refuse_for_prefix
from raftkv.apply.put import apply_put
from raftkv.apply.refusal import refusal
from raftkv.apply.space import (
    apply_space_base,
    apply_space_begin,
    apply_space_quota,
    refuse_for_space,
    relieve,
)
from raftkv.apply.state import Handler, State
from raftkv.apply.state_digest import StateDigest, apply_state_origin
from raftkv.apply.txn import apply_txn
from raftkv.auth.book import AuthBook
from raftkv.backend.environment import Backend
from raftkv.errors import Corrupt, RaftKVError, RequestTimeout, UserEmpty
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
    int(RequestKind.CLUSTER_LEVEL): apply_cluster_level,
    int(RequestKind.STATE_ORIGIN): apply_state_origin,
    int(RequestKind.SPACE_BEGIN): apply_space_begin,
    int(RequestKind.SPACE_BASE): apply_space_base,
    int(RequestKind.SPACE_QUOTA): apply_space_quota,
    int(RequestKind.PREFIX_QUOTA): apply_prefix_quota,
    int(RequestKind.ALARM): apply_alarm,
    **AUTH_HANDLERS,
}

_OF_MEMBERS = frozenset((int(RequestKind.MEMBER_ATTRIBUTES), int(RequestKind.MEMBER_UPDATE)))


def _refuse_nobody(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    raise UserEmpty("auth was enabled before this request was applied, and it names nobody")


_WITHOUT_A_NAME: dict[int, Handler] = {int(kind): _refuse_nobody for kind in OF_CLIENTS}


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
        applied_index: int = 0,
    ) -> None:
        self.sequences = dict(sequences or {})
        self.applied: Counter[int] = Counter()
        """Requests by kind that had an effect since the start, for metrics."""
        self.members_changed: Callable[[], None] = lambda: None
        self.alarms = AlarmBook(backend)
        self.auth = AuthBook(backend)
        self.level = ClusterLevel(backend)
        self.digest = StateDigest(store, leases, self.auth, backend, applied_index)
        self._ledger = store.ledger
        self._prefixes = store.prefix_quotas
        self._state = State(store, backend, leases, self.alarms, self.auth, self.level)
        self._state.begin_digest = self.digest.begin
        self._authorization = authorization_of(self._state)
        self._handlers: Mapping[int, Handler] = {}
        self.auth.switched = self._choose_handlers
        self._choose_handlers()
        self._cluster_id = cluster_id
        self._member_id = member_id
        self._header = HeaderEncoder(cluster_id, member_id, 0)

    def reload(self, sequences: Mapping[int, int], applied_index: int) -> None:
        """The database was replaced by a snapshot that was made with these ``sequences``."""
        self.sequences = dict(sequences)
        self.alarms.reload()
        self.auth.reload()
        self.level.reload()
        self.digest.reload(applied_index)

    @property
    def entry_index(self) -> int:
        """Of the entry that is applied now, or was last."""
        return self._state.entry_index

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
        self._state.entry_index = entry_index
        if self._ledger.is_on and self.level.current < LEVEL_0_2:
            self._ledger.drop()
        if self._prefixes.is_on and self.level.current < LEVEL_0_2:
            self._prefixes.drop()
        header = self._header_at(entry_term) if want_replies else None
        outcomes: list[Outcome] = []
        for kind, payload in batch.requests:
            handler = self._handlers.get(kind)
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
        if self.alarms.is_full:
            relieve(self._ledger, self.alarms)
        return outcomes if want_replies else None

    def _choose_handlers(self) -> None:
        """While auth is disabled, nothing is asked of a request, and nothing is paid for it."""
        wrapped = {
            int(RequestKind.AS_USER): self._apply_as_user,
            int(RequestKind.AS_MEMBER): self._apply_as_member,
        }
        checks = _WITHOUT_A_NAME if self.auth.enabled else {}
        self._handlers = {**_HANDLERS, **wrapped, **checks}

    def _apply_as_user(self, state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
        """The caller was checked when it came; what it may do is decided here, on all members
        alike, by the users and roles of the entries before this one."""
        caller, kind, request = decode_as_user(payload)
        if self.auth.enabled:
            self._authorization.check(caller, kind, request)
        return self._apply_request(kind, request, header)

    def _apply_as_member(self, state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
        return self._apply_request(*decode_as_member(payload), header)

    def _apply_request(self, kind: int, payload: bytes, header: HeaderEncoder | None) -> bytes:
        handler = _HANDLERS.get(kind)
        if handler is None:
            raise Corrupt(f"a request of unknown kind {kind}: run a version that is not older")
        refused = self._refusal(kind, payload)
        if refused is not None:
            raise refused
        return handler(self._state, payload, header)

    def _refusal(self, kind: int, payload: bytes) -> RaftKVError | None:
        alarms, ledger, prefixes = self.alarms, self._ledger, self._prefixes
        has_room = not alarms.no_space and not alarms.corrupt and ledger.live < ledger.careful_at
        if has_room and not prefixes.is_on:
            return None
        try:
            refused = None if has_room else refusal(alarms, kind, payload)
            if refused is None and prefixes.is_on:
                refuse_for_prefix(self._state.store, kind, payload)
            if refused is None and not has_room:
                refuse_for_space(ledger, alarms, kind, payload)
            return refused
        except RaftKVError as error:
            return error.with_traceback(None)

    def _header_at(self, term: int) -> HeaderEncoder:
        if self._header.raft_term != term:
            self._header = HeaderEncoder(self._cluster_id, self._member_id, term)
        return self._header
