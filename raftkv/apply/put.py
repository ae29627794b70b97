"""Put: one key gets a new version.

Owns: the checks of a Put against the state, and its write. Must never do: write before every
check has passed. etcd: lease before key existence for a plain Put, the other way round in a txn.
"""

from __future__ import annotations

from raftkv.api.rpc_pb2 import PutRequest
from raftkv.apply.header import HeaderEncoder
from raftkv.apply.reply import put_reply
from raftkv.apply.state import State, parse
from raftkv.errors import EmptyKey, KeyNotFound, LeaseNotFound
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.store import Store
from raftkv.mvcc.write_txn import WriteTxn


def apply_put(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    request = parse(PutRequest, payload)
    if not request.key:
        raise EmptyKey("a put needs a key")
    check_lease(request, state.leases)
    check_key_exists(request, state.store)
    txn = state.store.begin()
    previous = write_put(txn, request, state.leases)
    revision = txn.end()
    if header is None:
        return b""
    return put_reply(header.field(revision), previous if request.prev_kv else None)


def check_lease(request: PutRequest, leases: LeaseBook) -> None:
    lease = request.lease
    if lease and not leases.exists(lease):
        raise LeaseNotFound(f"lease {lease:x} does not exist")


def check_key_exists(request: PutRequest, store: Store) -> None:
    """A put that keeps the value or the lease needs a version to take them from."""
    if (request.ignore_value or request.ignore_lease) and store.get(request.key) is None:
        raise KeyNotFound("ignore_value or ignore_lease, and the key does not exist")


def write_put(txn: WriteTxn, request: PutRequest, leases: LeaseBook) -> bytes | None:
    """Returns the encoded KeyValue that was there before."""
    key, value, lease = request.key, request.value, request.lease
    if request.ignore_value or request.ignore_lease:
        current = txn.get(key)
        assert current is not None, f"put of {key!r} was let through with nothing to keep"
        if request.ignore_value:
            value = current.value
        if request.ignore_lease:
            lease = current.lease
    previous = txn.put(key, value, lease)
    leases.put(key, previous, lease)
    return previous
