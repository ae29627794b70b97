"""HashKV: one number over all that is readable, to compare members by.

Owns: what is hashed and in which order. Must never do: depend on how far a member has come with
removing compacted data. As etcd has it, bit for bit: CRC-32C over "key", then per record in order
the 17 bytes of its revision (and "t" for a tombstone) and its KeyValue; what compaction would drop
and a tombstone at the compacted revision itself are left out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import google_crc32c

from raftkv.mvcc.codec import encode_key_value, key_of
from raftkv.mvcc.history import History
from raftkv.mvcc.record import Position

_REVISION = struct.Struct(">QcQ")
_CHUNK_RECORDS = 1000


@dataclass(frozen=True, slots=True)
class HashResult:
    hash: int
    compact_revision: int
    hash_revision: int


def hash_history(
    history: History, revision: int, compact_revision: int, *, is_compacting: bool
) -> HashResult:
    superseded: set[Position] = set()
    if is_compacting:
        superseded = {r.previous for _, r in history.scan(0, compact_revision + 1)}
    crc: int = google_crc32c.value(b"key")
    parts: list[bytes] = []
    for position, record in history.scan(0, revision + 1):
        main, sub = position
        if main <= compact_revision and (record.is_tombstone or position in superseded):
            continue
        parts.append(_REVISION.pack(main, b"_", sub))
        if record.is_tombstone:
            parts.append(b"t")
            parts.append(encode_key_value(key_of(record.key_value), 0, 0, 0, b"", 0))
        else:
            parts.append(record.key_value)
        if len(parts) >= _CHUNK_RECORDS:
            crc = google_crc32c.extend(crc, b"".join(parts))
            parts.clear()
    crc = google_crc32c.extend(crc, b"".join(parts))
    return HashResult(crc, compact_revision, revision)
