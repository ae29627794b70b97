"""The quota as entries of the log: counting begins, what was there is added, a quota is agreed on.

Owns: the payloads of SPACE_BEGIN, SPACE_BASE and SPACE_QUOTA, which old logs keep for ever, their
effect, and who is refused for want of room. Must never do: look at anything but the ledger, which
is equal on all members: one whose disk or flag is smaller decides like the others.

The leader alone asks (``raftkv.server.quota``), and what it decided in one term is void in another.

    SPACE_BEGIN  term u64 | quota u64
    SPACE_BASE   term u64 | began u64, compacted i64 | live i64, superseded u64
    SPACE_QUOTA  term u64 | quota u64                                          (little-endian)
"""

from __future__ import annotations

import struct
from typing import Final

from raftkv.api.rpc_pb2 import PutRequest, TxnRequest
from raftkv.apply.alarm_book import CLUSTER, Alarm, AlarmBook, AlarmKind
from raftkv.apply.batch import RequestKind
from raftkv.apply.cost import LEASE_BYTES, put_cost, txn_cost
from raftkv.apply.header import HeaderEncoder
from raftkv.apply.level import LEVEL_0_2
from raftkv.apply.state import State, parse
from raftkv.errors import LeaderChanged, MalformedRequest, NoSpace, Unavailable
from raftkv.mvcc.ledger import Ledger

FULL: Final = Alarm(CLUSTER, AlarmKind.NOSPACE)
"""Of no member: it is the cluster that is full."""
_QUOTA = struct.Struct("<QQ")
_BASE = struct.Struct("<QQqqQ")


def encode_quota(term: int, quota: int) -> bytes:
    """The payload of SPACE_BEGIN and SPACE_QUOTA; a quota of 0 is none."""
    return _QUOTA.pack(term, quota)


def encode_base(term: int, began: int, compacted: int, live: int, superseded: int) -> bytes:
    return _BASE.pack(term, began, compacted, live, superseded)


def apply_space_begin(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    """The reply is empty."""
    term, quota = _unpack(_QUOTA, payload)
    _check(state, term)
    store = state.store
    store.ledger.begin(store.current_revision, store.compact_revision, quota)
    return b""


def apply_space_base(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    """The reply is empty. What was measured of a store that was compacted since, or for another
    beginning, says nothing. Alarms of single members are of the time before: the count decides."""
    term, began, compacted, live, superseded = _unpack(_BASE, payload)
    _check(state, term)
    ledger = state.store.ledger
    if (
        not ledger.is_on
        or ledger.is_complete
        or (began, compacted) != (ledger.began, ledger.compacted)
        or state.store.compact_revision != compacted
    ):
        raise Unavailable(f"counting did not begin at {began} and {compacted}, or goes on already")
    ledger.add_base(live, superseded)
    for alarm in state.alarms.active(AlarmKind.NOSPACE):
        state.alarms.deactivate(alarm)
    return b""


def apply_space_quota(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    """The reply is empty."""
    term, quota = _unpack(_QUOTA, payload)
    _check(state, term)
    if state.store.ledger.is_on:
        state.store.ledger.set_quota(quota)
    return b""


def refuse_for_space(ledger: Ledger, alarms: AlarmBook, kind: int, payload: bytes) -> None:
    """Raises NoSpace for a request that puts more than there is room for, and has all members
    refuse what comes after it. What a put adds is two rows."""
    match kind:
        case RequestKind.PUT:
            cost = put_cost(parse(PutRequest, payload))
        case RequestKind.TXN:
            cost = txn_cost(parse(TxnRequest, payload))
        case RequestKind.LEASE_GRANT:
            cost = LEASE_BYTES
        case _:
            return
    if cost and ledger.live + 2 * cost > ledger.full_at:
        alarms.activate(FULL)
        raise NoSpace(f"{ledger.live} bytes are live, the quota is {ledger.full_at}")


def relieve(ledger: Ledger, alarms: AlarmBook) -> None:
    """Called after each entry while the cluster is full."""
    if ledger.is_complete and ledger.is_relieved:
        alarms.deactivate(FULL)


def _check(state: State, term: int) -> None:
    if term != state.entry_term:
        raise LeaderChanged(f"decided in term {term}, logged in term {state.entry_term}")
    if state.level.current < LEVEL_0_2:
        raise Unavailable(f"the cluster's level is {state.level.current}: nothing is counted")


def _unpack(layout: struct.Struct, payload: bytes) -> tuple[int, ...]:
    if len(payload) != layout.size:
        raise MalformedRequest(f"{len(payload)} bytes are no decision about space")
    return layout.unpack(payload)
