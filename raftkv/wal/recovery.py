"""Reading a log back after whatever happened to it.

Owns: the judgement of every byte of every segment, and what the records add up to. Must never do:
cut what was acknowledged. Bytes that are no record are one of two things:

- a torn tail: a write that no sync had covered when the power went. Its sectors may be there in
  any choice, so good records may follow bad ones; all of them are unacknowledged and are cut;
- damage to what was durable. That is refused: cutting it could lose acknowledged writes.

Every record carries ``synced_to``, the offset up to which the segment was durable when it was
written. So if bytes at X are bad and any good record after X has synced_to > X, then X was durable
and is damaged now. If none has, X was never covered by a sync that a later write knew of, and is
a torn tail. A new segment is begun only once the old one is durable, so in all but the last
segment every bad byte is damage. ``close`` and an idle log leave a SYNCED record behind, so the
last write of a log at rest is covered too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raftkv.errors import Corrupt
from raftkv.raft.message import Entry, HardState, SnapshotMeta
from raftkv.wal.record import (
    MAGIC,
    Record,
    RecordType,
    decode_entry,
    decode_header,
    decode_marker,
    decode_record,
    decode_state,
)

FORMAT_VERSION = 1
_ADVICE = "restore this member from a snapshot, or remove it and add it anew"


@dataclass(slots=True)
class Replay:
    """What a log says: identity, hard state, the latest snapshot marker, the entries after it.

    ``repaired_bytes`` counts the bytes of a torn tail that were cut.
    """

    metadata: bytes = b""
    hard_state: HardState = field(default_factory=HardState)
    snapshot: SnapshotMeta = field(default_factory=SnapshotMeta)
    entries: list[Entry] = field(default_factory=list)
    repaired_bytes: int = 0

    def take(self, record: Record, where: str) -> None:
        """Add one record, in the order of writing."""
        match record.type:
            case RecordType.ENTRY:
                self._take_entry(decode_entry(record.payload), where)
            case RecordType.STATE:
                self.hard_state = decode_state(record.payload)
            case RecordType.SNAPSHOT:
                self._take_marker(decode_marker(record.payload))
            case RecordType.RESTORED:
                self._take_restored(decode_marker(record.payload))
            case RecordType.HEADER | RecordType.SYNCED:
                pass

    def _take_entry(self, entry: Entry, where: str) -> None:
        """A later entry at or before the last one replaces it and what follows (Raft, 5.3)."""
        if self.entries:
            first = self.entries[0].index
            if entry.index > first + len(self.entries):
                raise Corrupt(_missing(where, self.entries[-1].index, entry.index))
            del self.entries[max(entry.index - first, 0) :]
        self.entries.append(entry)

    def _take_marker(self, meta: SnapshotMeta) -> None:
        """Our own state machine has come this far: what follows in the log still stands."""
        if meta.index > self.snapshot.index:
            self.snapshot = meta

    def _take_restored(self, meta: SnapshotMeta) -> None:
        """A leader's snapshot took the place of the whole log."""
        self.snapshot = meta
        self.entries.clear()

    def finish(self, where: str) -> None:
        """All records were taken: keep what follows the marker. Older segments may be released,
        so only now is it known whether the entries reach back to it. Raises Corrupt."""
        after = self.snapshot.index
        self.entries = [entry for entry in self.entries if entry.index > after]
        if self.entries and self.entries[0].index != after + 1:
            raise Corrupt(_missing(where, after, self.entries[0].index))


def _missing(where: str, last: int, found: int) -> str:
    return f"{where}: entry {found} follows entry {last}: entries are missing; {_ADVICE}"


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """Where a segment's good records end, and how many bytes of a torn tail stand after it."""

    offset: int
    torn_bytes: int


def read_segment(
    replay: Replay, data: bytes, *, path: str, sequence: int, is_last: bool
) -> SegmentEnd:
    """Take all records of one segment into ``replay``. Raises Corrupt."""
    offset = 0
    while (record := decode_record(data, offset, sequence=sequence)) is not None:
        where = f"{path} at offset {offset}"
        if offset == 0:
            _check_header(replay, record, where, sequence)
        replay.take(record, where)
        offset = record.end
    return SegmentEnd(offset, _judge_tail(data, offset, path, sequence, is_last=is_last))


def _check_header(replay: Replay, record: Record, where: str, sequence: int) -> None:
    if record.type is not RecordType.HEADER:
        raise Corrupt(f"{where}: a segment starts with {record.type.name}; {_ADVICE}")
    version, named, metadata = decode_header(record.payload)
    if version != FORMAT_VERSION:
        raise Corrupt(
            f"{where}: log format {version}, this version reads {FORMAT_VERSION}; "
            f"start it with the version that wrote it"
        )
    if named != sequence or (replay.metadata and metadata != replay.metadata):
        raise Corrupt(f"{where}: the segment belongs to another place or log; {_ADVICE}")
    replay.metadata = metadata


def _judge_tail(data: bytes, offset: int, path: str, sequence: int, *, is_last: bool) -> int:
    """The torn bytes after the last good record. Raises Corrupt for damage."""
    tail = data[offset:].rstrip(b"\0")
    if offset == 0:
        raise Corrupt(f"{path}: the segment's first record is damaged; {_ADVICE}")
    if not is_last and tail:
        raise Corrupt(
            f"{path} at offset {offset}: a damaged record in a segment that was complete; {_ADVICE}"
        )
    at = data.find(MAGIC, offset)
    while at != -1:
        record = decode_record(data, at, sequence=sequence)
        if record is not None and record.synced_to > offset:
            raise Corrupt(
                f"{path} at offset {offset}: a damaged record that was durable "
                f"(the record at {at} says so); {_ADVICE}"
            )
        at = data.find(MAGIC, at + 1)
    return len(tail)
