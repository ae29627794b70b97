"""DeleteRange: all keys of a range get a tombstone, at one revision.

Owns: the write of a DeleteRange and its reply. A range without keys changes nothing, and the
revision stays.
"""

from __future__ import annotations

from raftkv.api.rpc_pb2 import DeleteRangeRequest
from raftkv.apply.header import HeaderEncoder
from raftkv.apply.reply import delete_reply
from raftkv.apply.state import State, parse
from raftkv.errors import EmptyKey
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.write_txn import WriteTxn


def apply_delete_range(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    request = parse(DeleteRangeRequest, payload)
    if not request.key:
        raise EmptyKey("a delete needs a key")
    txn = state.store.begin()
    deleted = write_delete(txn, request, state.leases)
    revision = txn.end()
    if header is None:
        return b""
    return delete_reply(header.field(revision), len(deleted), deleted if request.prev_kv else ())


def write_delete(txn: WriteTxn, request: DeleteRangeRequest, leases: LeaseBook) -> list[bytes]:
    """Returns the encoded KeyValues that were there."""
    deleted = txn.delete_range(request.key, request.range_end)
    leases.deleted(deleted)
    return deleted
