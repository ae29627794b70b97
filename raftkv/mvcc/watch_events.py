"""Events as the bytes of a WatchResponse, encoded once for all who get them.

Owns: the ``events`` field (number 11) of one event, with and without prev_kv. Must never do:
encode the same event twice: the result stays in the event's own slots.
"""

from __future__ import annotations

from raftkv.mvcc.codec import encode_varint
from raftkv.mvcc.query import Event

_TYPE_DELETE = b"\x08\x01"


def event_field(event: Event, *, with_prev: bool) -> bytes:
    if with_prev and event.prev_kv is not None:
        if event.field_with_prev is None:
            event.field_with_prev = _encode(event, event.prev_kv)
        return event.field_with_prev
    if event.field is None:
        event.field = _encode(event, None)
    return event.field


def _encode(event: Event, prev_kv: bytes | None) -> bytes:
    parts = [_TYPE_DELETE] if event.is_delete else []
    parts += b"\x12", encode_varint(len(event.kv)), event.kv
    if prev_kv is not None:
        parts += b"\x1a", encode_varint(len(prev_kv)), prev_kv
    body = b"".join(parts)
    return b"\x5a" + encode_varint(len(body)) + body
