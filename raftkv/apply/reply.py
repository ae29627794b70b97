"""Replies of the KV and Lease services, put together from bytes that exist already.

Owns: the encodings of PutResponse, RangeResponse, DeleteRangeResponse, TxnResponse and
LeaseGrantResponse. Rows and previous values come from the store encoded, so nothing is decoded to
be encoded again.
Must never do: decide anything. ``header`` is always a whole field, as HeaderEncoder makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from raftkv.mvcc.codec import encode_varint
from raftkv.mvcc.query import RangeResult

PUT_PREV_KV = b"\x12"
DELETE_PREV_KVS = b"\x1a"
TXN_RESPONSES = b"\x1a"
OP_RANGE = b"\x0a"
OP_PUT = b"\x12"
OP_DELETE_RANGE = b"\x1a"
OP_TXN = b"\x22"
EMPTY_HEADER = b"\x0a\x00"
WORTHY_PIECE_BYTES = 16_384
"""Pieces above it, one with another, cost less to send one by one than to join."""


def put_reply(header: bytes, previous: bytes | None) -> bytes:
    """``previous`` is an encoded KeyValue, or None where none was there or none was asked for."""
    if previous is None:
        return header
    return header + PUT_PREV_KV + encode_varint(len(previous)) + previous


def delete_reply(header: bytes, deleted: int, previous: Iterable[bytes]) -> bytes:
    parts = [header]
    if deleted:
        parts += (b"\x10", encode_varint(deleted))
    for key_value in previous:
        parts += (DELETE_PREV_KVS, encode_varint(len(key_value)), key_value)
    return b"".join(parts)


def grant_reply(header: bytes, lease_id: int, ttl_s: int) -> bytes:
    return b"".join((header, b"\x10", encode_varint(lease_id), b"\x18", encode_varint(ttl_s)))


def range_reply(header: bytes, result: RangeResult) -> bytes:
    return b"".join(_range_pieces(header, result))


def range_message(header: bytes, result: RangeResult) -> bytes | list[bytes]:
    """``range_reply`` for a call of its own: in pieces where they are worth their handling."""
    pieces = result.pieces
    if len(pieces) > 1 and sum(map(len, pieces)) > len(pieces) * WORTHY_PIECE_BYTES:
        return _range_pieces(header, result)
    return range_reply(header, result)


def _range_pieces(header: bytes, result: RangeResult) -> list[bytes]:
    tail = b"\x18\x01" if result.more else b""
    if result.count:
        tail += b"\x20" + encode_varint(result.count)
    return [header, *result.pieces, tail]


def txn_reply(header: bytes, *, succeeded: bool, ops: Sequence[bytes]) -> bytes:
    """``ops`` are encoded ResponseOps."""
    parts = [header]
    if succeeded:
        parts.append(b"\x10\x01")
    for op in ops:
        parts += (TXN_RESPONSES, encode_varint(len(op)), op)
    return b"".join(parts)


def response_op(tag: bytes, reply: bytes) -> bytes:
    return tag + encode_varint(len(reply)) + reply


def revision_header(revision: int) -> bytes:
    """The header of a reply inside a txn: etcd fills nothing but the revision there."""
    body = b"\x18" + encode_varint(revision)
    return b"\x0a" + encode_varint(len(body)) + body
