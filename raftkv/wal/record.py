"""The bytes of one log record, and what its payload says.

Owns: the frame (magic, length, type, CRC32C, synced-to) and the payloads. Must never do: files.

    offset  size
    0       4     magic "RKVR"
    4       4     payload length
    8       1     type, then 3 bytes of zero
    12      4     CRC32C over the segment's sequence, this record's offset, and bytes 4-11, 16-
    16      8     synced_to: the offset up to which this segment was durable when this was written
    24      n     payload, then zeros up to a multiple of 8

The CRC covers where the record stands, so that a block written to the wrong place is no record.
``synced_to`` is the evidence that tells a torn tail from damage; ``recovery`` explains it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import google_crc32c

from raftkv.raft.message import ConfState, Entry, EntryType, HardState, SnapshotMeta

MAGIC = b"RKVR"
_FRAME = struct.Struct("<4sIB3xIQ")
FRAME_SIZE = _FRAME.size
_PLACE = struct.Struct("<QQ")
_COVERED = struct.Struct("<IB3xQ")
ALIGNMENT = 8
PAYLOAD_BYTES_MAX = 1 << 30

_ENTRY = struct.Struct("<QQB")
_STATE = struct.Struct("<QQQ")
_MARKER = struct.Struct("<QQB")
_COUNT = struct.Struct("<H")
_HEADER = struct.Struct("<HQ")


class RecordType(IntEnum):
    HEADER = 1  # the first of every segment: format version, sequence, the owner's metadata
    ENTRY = 2
    STATE = 3
    SNAPSHOT = 4  # everything up to here is durable in the state machine
    SYNCED = 5  # no payload: only says how far the segment is durable
    RESTORED = 6  # as SNAPSHOT, and the log before this record is void: a leader replaced it


@dataclass(frozen=True, slots=True)
class Record:
    type: RecordType
    payload: bytes
    synced_to: int
    end: int
    """The offset after this record's padding: where the next one starts."""


def encode_record(
    type_: RecordType, payload: bytes, *, sequence: int, offset: int, synced_to: int
) -> bytes:
    crc = _checksum(type_, payload, sequence, offset, synced_to)
    frame = _FRAME.pack(MAGIC, len(payload), type_, crc, synced_to)
    padding = -(FRAME_SIZE + len(payload)) % ALIGNMENT
    return b"".join((frame, payload, bytes(padding)))


def decode_record(data: bytes, offset: int, *, sequence: int) -> Record | None:
    """The record that starts at ``offset`` of a segment's bytes, or None if none does."""
    if len(data) - offset < FRAME_SIZE:
        return None
    magic, length, kind, crc, synced_to = _FRAME.unpack_from(data, offset)
    start = offset + FRAME_SIZE
    if magic != MAGIC or start + length > len(data):
        return None
    payload = data[start : start + length]
    if crc != _checksum(kind, payload, sequence, offset, synced_to):
        return None
    end = start + length + -length % ALIGNMENT
    return Record(RecordType(kind), payload, synced_to, end)


def _checksum(kind: int, payload: bytes, sequence: int, offset: int, synced_to: int) -> int:
    crc: int = google_crc32c.value(
        _PLACE.pack(sequence, offset) + _COVERED.pack(len(payload), kind, synced_to)
    )
    return int(google_crc32c.extend(crc, payload))


# --- payloads ----------------------------------------------------------------------------------


def encode_header(version: int, sequence: int, metadata: bytes) -> bytes:
    return _HEADER.pack(version, sequence) + metadata


def decode_header(payload: bytes) -> tuple[int, int, bytes]:
    version, sequence = _HEADER.unpack_from(payload)
    return version, sequence, payload[_HEADER.size :]


def encode_entry(entry: Entry) -> bytes:
    return _ENTRY.pack(entry.term, entry.index, entry.type) + entry.data


def decode_entry(payload: bytes) -> Entry:
    term, index, kind = _ENTRY.unpack_from(payload)
    return Entry(term, index, payload[_ENTRY.size :], EntryType(kind))


def encode_state(state: HardState) -> bytes:
    return _STATE.pack(state.term, state.vote, state.commit)


def decode_state(payload: bytes) -> HardState:
    return HardState(*_STATE.unpack(payload))


def encode_marker(meta: SnapshotMeta) -> bytes:
    conf = meta.conf_state
    parts = [_MARKER.pack(meta.index, meta.term, conf.auto_leave)]
    for ids in (conf.voters, conf.learners, conf.voters_outgoing, conf.learners_next):
        parts.append(_COUNT.pack(len(ids)) + struct.pack(f"<{len(ids)}Q", *ids))
    return b"".join(parts)


def decode_marker(payload: bytes) -> SnapshotMeta:
    index, term, auto_leave = _MARKER.unpack_from(payload)
    at = _MARKER.size
    groups: list[tuple[int, ...]] = []
    for _ in range(4):
        (count,) = _COUNT.unpack_from(payload, at)
        at += _COUNT.size
        groups.append(struct.unpack_from(f"<{count}Q", payload, at))
        at += 8 * count
    return SnapshotMeta(
        index, term, ConfState(groups[0], groups[1], groups[2], groups[3], bool(auto_leave))
    )
