"""Leases: granted and revoked by clients, expired and checkpointed by the leader.

Owns: the four requests' effect on the lease book and the key space. Must never do: ask whether a
lease is due: the leader did. What a leader decided in one term is void in every other: its entry's
term says so on all members alike.
"""

from __future__ import annotations

from raftkv.api.rpc_pb2 import LeaseGrantRequest, LeaseRevokeRequest
from raftkv.apply.header import HeaderEncoder
from raftkv.apply.reply import grant_reply
from raftkv.apply.state import State, parse
from raftkv.errors import LeaderChanged, LeaseNotFound
from raftkv.lease.decision import decode_checkpoints, decode_expiry


def apply_lease_grant(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    """The service has chosen id and TTL: a choice made here would differ between members."""
    request = parse(LeaseGrantRequest, payload)
    state.leases.grant(request.ID, request.TTL)
    if header is None:
        return b""
    return grant_reply(header.field(state.store.current_revision), request.ID, request.TTL)


def apply_lease_revoke(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    request = parse(LeaseRevokeRequest, payload)
    if not state.leases.exists(request.ID):
        raise LeaseNotFound(f"lease {request.ID:x} does not exist")
    _end(state, request.ID)
    return b"" if header is None else header.field(state.store.current_revision)


def apply_lease_expiry(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    """The reply is empty. Leases that ended meanwhile are passed over."""
    term, ids = decode_expiry(payload)
    _check_term(state, term)
    for lease_id in ids:
        if state.leases.exists(lease_id):
            _end(state, lease_id)
    return b""


def apply_lease_checkpoints(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    """The reply is empty."""
    term, checkpoints = decode_checkpoints(payload)
    _check_term(state, term)
    for lease_id, remaining_s in checkpoints:
        state.leases.checkpoint(lease_id, remaining_s)
    return b""


def _end(state: State, lease_id: int) -> None:
    """The lease and all its keys go, in one revision; without keys the revision stays."""
    txn = state.store.begin()
    keys = state.leases.keys(lease_id)
    state.leases.deleted([gone for key in keys for gone in txn.delete_range(key, b"")])
    txn.end()
    state.leases.end(lease_id)


def _check_term(state: State, term: int) -> None:
    if term != state.entry_term:
        raise LeaderChanged(f"decided in term {term}, logged in term {state.entry_term}")
