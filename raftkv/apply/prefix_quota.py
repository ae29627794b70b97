"""Quotas of prefixes as entries of the log: set, and held.

Owns: the effect of PREFIX_QUOTA, whose payload is the client's own request, and who is refused
because what is below a prefix is full. Must never do: look at anything but the store's counts,
which are equal on all members.

Which branch of a txn runs is not known yet, so the dearer one is reckoned; what a txn deletes does
not make room for what it puts. What makes a value smaller is never refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from raftkv.api.prefix_quota_pb2 import PrefixQuota, PrefixQuotaRequest, PrefixQuotaResponse
from raftkv.api.rpc_pb2 import PutRequest, RequestOp, TxnRequest
from raftkv.apply.batch import RequestKind
from raftkv.apply.header import HeaderEncoder
from raftkv.apply.level import LEVEL_0_2
from raftkv.apply.state import State, parse
from raftkv.errors import PrefixFull, Unavailable
from raftkv.mvcc.codec import decode_varint, value_bytes_of
from raftkv.mvcc.store import Store

_PUT, _TXN = int(RequestKind.PUT), int(RequestKind.TXN)
_KEY_TAG, _VALUE_TAG = 0x0A, 0x12
Growth = dict[bytes, tuple[int, int]]
"""Bytes and keys that a request may add, by prefix."""


def apply_prefix_quota(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    request = parse(PrefixQuotaRequest, payload)
    if state.level.current < LEVEL_0_2:
        raise Unavailable(f"the cluster's level is {state.level.current}: no prefix has a quota")
    quotas = state.store.prefix_quotas
    if request.bytes_max or request.keys_max:
        quotas.set(request.prefix, request.bytes_max, request.keys_max)
    else:
        quotas.remove(request.prefix)
    return b"" if header is None else quotas_reply(header, state.store)


def quotas_reply(header: HeaderEncoder, store: Store) -> bytes:
    rows = [
        PrefixQuota(
            prefix=one.prefix,
            bytes_max=one.bytes_max,
            keys_max=one.keys_max,
            bytes=one.bytes,
            keys=one.keys,
        )
        for one in store.prefix_quotas.rows()
    ]
    body = PrefixQuotaResponse(quotas=rows).SerializeToString()
    return header.field(store.current_revision) + body


def refuse_for_prefix(store: Store, kind: int, payload: bytes) -> None:
    """Raises PrefixFull for a request that puts more below a prefix than its quota has room for."""
    if kind == _PUT:
        key = _key_of(payload)
        if key is not None and not store.prefix_quotas.over(key):
            return
        growth = _of_put(store, parse(PutRequest, payload))
    elif kind == _TXN:
        growth = _of_txn(store, parse(TxnRequest, payload))
    else:
        return
    for prefix, (size, keys) in growth.items():
        one = store.prefix_quotas.at(prefix)
        if size > 0 and one.bytes_max and one.bytes + size > one.bytes_max:
            raise _full(prefix, one.bytes, one.bytes_max, size, "bytes")
        if keys > 0 and one.keys_max and one.keys + keys > one.keys_max:
            raise _full(prefix, one.keys, one.keys_max, keys, "keys")


def _key_of(payload: bytes) -> bytes | None:
    """The key of an encoded PutRequest, without decoding it: of the usual one, which is a short key
    and a value and nothing else. A field that comes twice counts the second time."""
    if len(payload) < 2 or payload[0] != _KEY_TAG or payload[1] > 127:
        return None
    end = 2 + payload[1]
    if len(payload) > end:
        if payload[end] != _VALUE_TAG:
            return None
        size, at = decode_varint(payload, end + 1)
        if at + size != len(payload):
            return None
    return payload[2:end]


def _full(prefix: bytes, held: int, limit: int, more: int, unit: str) -> PrefixFull:
    name = prefix.decode(errors="backslashreplace")
    return PrefixFull(
        f"etcdserver: the prefix {name} holds {held} {unit} of its quota of {limit}, "
        f"{more} more do not fit: delete some, or raise it (raftkv ctl quota)"
    )


def _of_put(store: Store, request: PutRequest) -> Growth:
    key = request.key
    over = store.prefix_quotas.over(key)
    if not over or request.ignore_value:
        return {}
    before = store.key_value(key)
    if before is None:
        size, keys = len(key) + len(request.value), 1
    else:
        size, keys = max(len(request.value) - value_bytes_of(before), 0), 0
    return {one.prefix: (size, keys) for one in over}


def _of_txn(store: Store, request: TxnRequest) -> Growth:
    success, failure = _of_branch(store, request.success), _of_branch(store, request.failure)
    dearer = dict(success)
    for prefix, (size, keys) in failure.items():
        other_size, other_keys = dearer.get(prefix, (0, 0))
        dearer[prefix] = max(size, other_size), max(keys, other_keys)
    return dearer


def _of_branch(store: Store, ops: Iterable[RequestOp]) -> Growth:
    total: defaultdict[bytes, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for op in ops:
        which = op.WhichOneof("request")
        if which == "request_put":
            growth = _of_put(store, op.request_put)
        elif which == "request_txn":
            growth = _of_txn(store, op.request_txn)
        else:
            continue
        for prefix, (size, keys) in growth.items():
            total[prefix] = total[prefix][0] + size, total[prefix][1] + keys
    return total
