"""HashKV: one number over all that is readable, to compare members by.

Owns: what is hashed and in which order. Must never do: depend on how far a member has come with
removing compacted data. As etcd has it, bit for bit: CRC-32C over "key", then per record in order
the 17 bytes of its revision (and "t" for a tombstone) and its KeyValue; what compaction would drop
and a tombstone at the compacted revision itself are left out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import islice

import google_crc32c

from raftkv.backend.environment import Backend
from raftkv.backend.schema import DATA_TABLES, Table
from raftkv.mvcc.codec import encode_key_value, key_of
from raftkv.mvcc.history import History
from raftkv.mvcc.record import Position, Record

_REVISION = struct.Struct(">QcQ")
_LENGTHS = struct.Struct(">II")
STEP_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class HashResult:
    hash: int
    compact_revision: int
    hash_revision: int


class HistoryHash:
    """The hash at ``revision``, made in steps. Compaction may remove records in between: what it
    removes up to ``compact_revision`` is left out anyway. Whoever steps starts anew when another
    compaction was scheduled since. ``finished`` is how far removal had come: only records after
    it name versions that are superseded and still there."""

    def __init__(
        self, history: History, revision: int, compact_revision: int, finished: int
    ) -> None:
        self._history = history
        self._revision = revision
        self.compact_revision = compact_revision
        self._superseded: set[Position] = set()
        self._marking = finished < compact_revision
        self._next: Position = (max(finished, 0), 0) if self._marking else (0, 0)
        self._crc: int = google_crc32c.value(b"key")

    @property
    def result(self) -> HashResult:
        return HashResult(self._crc, self.compact_revision, self._revision)

    def step(self, records_max: int) -> bool:
        """Look at up to ``records_max`` records, or about STEP_BYTES_MAX; True when done."""
        if not self._marking:
            return self._digest(records_max)
        if self._mark(records_max):
            self._marking = False
            self._next = (0, 0)
        return False

    def _mark(self, records_max: int) -> bool:
        """Note which versions are superseded at the compaction; True at the end."""
        walk = self._history.scan_from(self._next, self.compact_revision + 1)
        batch = list(islice(walk, records_max))
        self._superseded.update(record.previous for _, record in batch)
        return self._walked(batch[-1][0] if batch else None, len(batch) < records_max)

    def _digest(self, records_max: int) -> bool:
        walk = self._history.scan_from(self._next, self._revision + 1)
        parts: list[bytes] = []
        position: Position | None = None
        seen = size = 0
        for position, record in walk:
            seen += 1
            if position[0] > self.compact_revision or not (
                record.is_tombstone or position in self._superseded
            ):
                size += len(record.key_value)
                _add(parts, position, record)
            if seen == records_max or size >= STEP_BYTES_MAX:
                break
        else:
            seen = 0
        self._crc = google_crc32c.extend(self._crc, b"".join(parts))
        return self._walked(position, not seen)

    def _walked(self, last: Position | None, is_end: bool) -> bool:
        if last is not None:
            self._next = (last[0], last[1] + 1)
        return is_end


def _add(parts: list[bytes], position: Position, record: Record) -> None:
    main, sub = position
    parts.append(_REVISION.pack(main, b"_", sub))
    if record.is_tombstone:
        parts.append(b"t")
        parts.append(encode_key_value(key_of(record.key_value), 0, 0, 0, b"", 0))
    else:
        parts.append(record.key_value)


class BackendHash:
    """CRC-32C over the rows of all tables but META, in steps: META tells how far a member is with
    its own work. Of a store that changes meanwhile it says nothing, as etcd's Hash does not."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._tables = [table for table in DATA_TABLES if table is not Table.META]
        self._after = b""
        self.crc: int = 0

    def step(self, records_max: int) -> bool:
        parts: list[bytes] = []
        key = b""
        rows = islice(self._backend.cursor(self._tables[0], self._after), records_max)
        for key, value in rows:
            parts += (_LENGTHS.pack(len(key), len(value)), key, value)
        self.crc = google_crc32c.extend(self.crc, b"".join(parts))
        self._after = key + b"\0"
        if len(parts) < 3 * records_max:
            self._after = b""
            self.crc = google_crc32c.extend(self.crc, self._tables.pop(0).database)
        return not self._tables
