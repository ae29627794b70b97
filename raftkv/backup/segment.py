"""One file of a backup's log: records behind each other.

Owns: SegmentWriter and SegmentReader. Must never do: say that something is kept before it was
synced, or read on behind a record that is not whole. A tail that a crash has torn ends the segment;
how many bytes that costs is told, so that nobody takes it for the end by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from raftkv.backup.record import (
    FRAME,
    RECORD_BYTES_MAX,
    Kind,
    Record,
    SegmentHead,
    decode,
    decode_head,
    encode,
    encode_head,
)
from raftkv.errors import Corrupt
from raftkv.wal.disk import Disk


class SegmentWriter:
    """``digest`` is the SHA-256 of all that was written. Every call blocks; OSError ends it."""

    def __init__(self, disk: Disk, path: str, head: SegmentHead, time_ms: int) -> None:
        """``path`` is new; it has its name, durably, once its head is in it."""
        self.path = path
        self.size = 0
        self._is_closed = False
        self._digest = hashlib.sha256()
        self._file = disk.create(f"{path}.part")
        first = Record(Kind.HEAD, time_ms, head.first_revision, encode_head(head))
        self.append(encode(first))
        self._file.sync()
        disk.rename(f"{path}.part", path)
        disk.sync_dir(path.rpartition("/")[0] or ".")

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def append(self, data: bytes) -> None:
        """Encoded records."""
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        """Again does no harm."""
        if not self._is_closed:
            self._is_closed = True
            self._file.close()


class SegmentReader:
    """Iterate over the records behind the head, once; ``size``, ``digest`` and ``torn_bytes``
    are those of the records that were read, and known at the end."""

    def __init__(self, disk: Disk, path: str) -> None:
        """Raises Corrupt for a segment that has no head."""
        self.path = path
        self.size = 0
        self.torn_bytes = 0
        self.is_damaged = False
        """The record that ends it is all there: no crash of a writer leaves that."""
        self._digest = hashlib.sha256()
        self._file_size = disk.size(path)
        self._chunks = disk.chunks(path)
        self._held = bytearray()
        self._records = self._read()
        first = next(self._records, None)
        if first is None or first.kind is not Kind.HEAD:
            raise Corrupt(f"{path} does not begin as a segment: it is damaged, or was cut short")
        self.head = decode_head(first.body)
        self.time_ms = first.time_ms

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[Record]:
        return self._records

    def _read(self) -> Iterator[Record]:
        while self.size < self._file_size:
            frame = self._take(0, FRAME.size)
            length = FRAME.unpack(frame)[0] if len(frame) == FRAME.size else 0
            if length > RECORD_BYTES_MAX or not length:
                break
            payload = self._take(FRAME.size, length)
            record = decode(frame, payload)
            if record is None:
                self.is_damaged = len(payload) == length
                break
            self._digest.update(frame)
            self._digest.update(payload)
            self.size += FRAME.size + length
            del self._held[: FRAME.size + length]
            yield record
        self.torn_bytes = max(self._file_size - self.size, 0)

    def _take(self, at: int, count: int) -> bytes:
        """Bytes behind the last record; fewer at the file's end."""
        while len(self._held) < at + count:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._held += chunk
        return bytes(self._held[at : at + count])


def cut_tail(disk: Disk, path: str) -> tuple[str, int, int]:
    """Make a segment end behind its last whole record, durably; its digest, its last revision and
    the bytes that were cut. Raises Corrupt when not even the head is whole."""
    reader = SegmentReader(disk, path)
    last = reader.head.first_revision - 1
    for record in reader:
        last = max(last, record.revision)
    if reader.torn_bytes:
        file = disk.open(path, reader.size)
        file.truncate(reader.size)
        file.sync()
        file.close()
    return reader.digest, last, reader.torn_bytes
