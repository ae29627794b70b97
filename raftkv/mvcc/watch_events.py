"""Events as the bytes of a WatchResponse, encoded once for all who get them.

Owns: the ``events`` field (number 11) of one event, with and without prev_kv, and batches of them.
Must never do: encode the same event twice: the result stays in the event's own slots.
"""

from __future__ import annotations

from collections.abc import Sequence

from raftkv.mvcc.codec import encode_varint
from raftkv.mvcc.query import Event

_KV = b"\x12"
_DELETED_KV = b"\x08\x01\x12"  # the type DELETE comes before it; PUT is 0, so absent


class EventBatch:
    """The events of one response, for everybody who gets just these.

    ``fields`` are their encoded ``events`` fields, in order, and ``body`` is all of them joined.
    ``revision`` is the one that the response's header names: no later event is at or below it.
    """

    __slots__ = ("body", "fields", "revision")

    def __init__(self, revision: int, fields: Sequence[bytes]) -> None:
        self.revision = revision
        self.fields = fields
        self.body = fields[0] if len(fields) == 1 else b"".join(fields)


def event_field(event: Event, *, with_prev: bool) -> bytes:
    if with_prev and event.prev_kv is not None:
        if event.field_with_prev is None:
            event.field_with_prev = _encode(event, event.prev_kv)
        return event.field_with_prev
    if event.field is None:
        event.field = _encode(event, None)
    return event.field


def _encode(event: Event, prev_kv: bytes | None) -> bytes:
    kv = event.kv
    tag = _DELETED_KV if event.is_delete else _KV
    body = tag + encode_varint(len(kv)) + kv
    if prev_kv is not None:
        body += b"\x1a" + encode_varint(len(prev_kv)) + prev_kv
    return b"\x5a" + encode_varint(len(body)) + body
