"""The records of a backup's log.

Owns: their bytes. Must never do: files. A record is its length, the CRC-32C of what follows, and a
payload: kind, the time at which it came in milliseconds since 1970, a revision, and

    HEAD      a JSON object that says which segment this is
    REVISION  all events of one revision, in their order: 1 for a delete, length, KeyValue
    LEASE     a lease that a key hangs on: its id and the time to live that it was granted
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum

import google_crc32c

from raftkv.errors import Corrupt

FRAME = struct.Struct(">II")
_HEAD = struct.Struct(">BQQ")
_EVENT = struct.Struct(">BI")
_LEASE = struct.Struct(">qQ")
RECORD_BYTES_MAX = 1 << 30
"""One revision is one record: a delete of all keys may be long. What says more is damaged."""
FORMAT = 1


class Kind(IntEnum):
    HEAD = 1
    REVISION = 2
    LEASE = 3


@dataclass(frozen=True, slots=True)
class Record:
    kind: Kind
    time_ms: int
    revision: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """One event: the KeyValue as it was sent, of a delete with key and mod_revision alone."""

    is_delete: bool
    key_value: bytes


@dataclass(frozen=True, slots=True)
class SegmentHead:
    """``previous`` is the SHA-256, in hex, of the segment before; "" for a chain's first."""

    chain: int
    number: int
    cluster_id: int
    first_revision: int
    previous: str


def encode(record: Record) -> bytes:
    payload = _HEAD.pack(record.kind, record.time_ms, record.revision) + record.body
    assert len(payload) <= RECORD_BYTES_MAX, f"revision {record.revision}: {len(payload)} bytes"
    return FRAME.pack(len(payload), google_crc32c.value(payload)) + payload


def decode(frame: bytes, payload: bytes) -> Record | None:
    """None unless the payload is the one that the frame was made for."""
    size, crc = FRAME.unpack(frame)
    if size != len(payload) or size < _HEAD.size or crc != google_crc32c.value(payload):
        return None
    kind, time_ms, revision = _HEAD.unpack_from(payload)
    try:
        return Record(Kind(kind), time_ms, revision, payload[_HEAD.size :])
    except ValueError:
        raise Corrupt(f"a record of kind {kind}: the backup is of a later version") from None


def encode_changes(changes: Iterable[Change]) -> bytes:
    parts: list[bytes] = []
    for change in changes:
        parts += _EVENT.pack(change.is_delete, len(change.key_value)), change.key_value
    return b"".join(parts)


def decode_changes(body: bytes) -> Iterator[Change]:
    at = 0
    while at < len(body):
        is_delete, size = _EVENT.unpack_from(body, at)
        at += _EVENT.size
        yield Change(bool(is_delete), body[at : at + size])
        at += size


def encode_lease(lease_id: int, ttl_s: int) -> bytes:
    return _LEASE.pack(lease_id, ttl_s)


def decode_lease(body: bytes) -> tuple[int, int]:
    lease_id, ttl_s = _LEASE.unpack(body)
    return lease_id, ttl_s


def encode_head(head: SegmentHead) -> bytes:
    return json.dumps({"format": FORMAT, **asdict(head)}).encode()


def decode_head(body: bytes) -> SegmentHead:
    """Raises Corrupt for a format that is not known."""
    fields = json.loads(body)
    if fields.pop("format", None) != FORMAT:
        raise Corrupt(f"a segment of an unknown format, {FORMAT} is known: {body[:80]!r}")
    return SegmentHead(**fields)
