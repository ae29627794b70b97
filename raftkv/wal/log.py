"""The write-ahead log: segments of records, one fdatasync for all that waits.

Owns: the directory of segments, appending, cutting, releasing, and the failed state. Must never
do: acknowledge anything after a write or sync failed once, or reuse a segment's bytes.
Segments are SEQUENCE.wal, made under a temporary name, synced, renamed, and their directory
synced. Each repeats the metadata, the hard state and the latest snapshot marker, so older ones may
go. ``append`` and ``sync`` run on one worker thread; no other call runs beside them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from raftkv.errors import Corrupt, RaftKVError
from raftkv.raft.message import Entry, HardState, SnapshotMeta
from raftkv.wal.disk import Disk, File
from raftkv.wal.record import (
    RecordType,
    encode_entry,
    encode_header,
    encode_marker,
    encode_record,
    encode_state,
)
from raftkv.wal.recovery import FORMAT_VERSION, Replay, read_segment

SEGMENT_BYTES = 64 << 20
_SUFFIX = ".wal"
_TEMPORARY = ".tmp"


class WalFailed(RaftKVError):
    """The disk refused a write or a sync. Nothing can be acknowledged any more: end the member."""


class WriteAheadLog:
    """Made by ``create`` or ``open``."""

    def __init__(
        self, disk: Disk, directory: str, replay: Replay, *, segment_bytes: int, lock: File
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._metadata = replay.metadata
        self._state = replay.hard_state
        self._marker = replay.snapshot
        self._last_index = replay.entries[-1].index if replay.entries else replay.snapshot.index
        self._segment_bytes = segment_bytes
        self._lock = lock
        self._segments: deque[tuple[int, int]] = deque()  # (sequence, first index it may hold)
        self._sequence = 0
        self._file: File | None = None
        self._offset = 0
        self._synced_to = 0
        self._failure: BaseException | None = None
        self.bytes_written = 0

    @staticmethod
    def exists(disk: Disk, directory: str) -> bool:
        return any(name.endswith(_SUFFIX) for name in disk.list_dir(directory))

    @classmethod
    def create(
        cls,
        disk: Disk,
        directory: str,
        metadata: bytes,
        *,
        hard_state: HardState | None = None,
        marker: SnapshotMeta | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> WriteAheadLog:
        """A new log that starts at ``hard_state`` and ``marker``. It exists with both or not at
        all, whenever the power goes; durable, with its directory, when this returns."""
        disk.make_dir(directory)
        lock = disk.lock(f"{directory}/lock")
        replay = Replay(metadata, hard_state or HardState(), marker or SnapshotMeta())
        log = cls(disk, directory, replay, segment_bytes=segment_bytes, lock=lock)
        log._begin_segment()
        return log

    @classmethod
    def open(
        cls, disk: Disk, directory: str, *, segment_bytes: int = SEGMENT_BYTES
    ) -> tuple[WriteAheadLog, Replay]:
        """The log and what it says, its torn tail cut. Raises Corrupt, ConfigError, OSError."""
        lock = disk.lock(f"{directory}/lock")
        try:
            return cls._replay(disk, directory, segment_bytes, lock)
        except BaseException:
            lock.close()
            raise

    @classmethod
    def _replay(
        cls, disk: Disk, directory: str, segment_bytes: int, lock: File
    ) -> tuple[WriteAheadLog, Replay]:
        replay = Replay()
        sequences = _sequences(disk, directory)
        end = None
        firsts = []
        for position, sequence in enumerate(sequences):
            path = _path(directory, sequence)
            firsts.append((sequence, _next_index(replay)))
            is_last = position == len(sequences) - 1
            end = read_segment(
                replay, disk.read(path), path=path, sequence=sequence, is_last=is_last
            )
        if end is None:
            raise Corrupt(f"{directory} holds no log")
        replay.finish(directory)
        replay.repaired_bytes = end.torn_bytes
        log = cls(disk, directory, replay, segment_bytes=segment_bytes, lock=lock)
        log._segments.extend(firsts)
        log._sequence = sequences[-1]
        log._resume(end.offset)
        return log, replay

    @property
    def is_at_cut(self) -> bool:
        """Whether the next ``append`` begins a new segment."""
        return self._offset >= self._segment_bytes

    def append(
        self,
        hard_state: HardState | None,
        entries: Sequence[Entry],
        snapshot: SnapshotMeta | None = None,
    ) -> None:
        """Write, with one call, all that one Ready holds; its ``snapshot`` is a leader's, and
        replaces the log. Not durable before ``sync``."""
        if self.is_at_cut:
            self._cut()
        parts: list[bytes] = []
        at = self._offset
        # The marker first: entries of the same Ready come after the snapshot that it names.
        if snapshot is not None:
            at = self._add(parts, at, RecordType.RESTORED, encode_marker(snapshot))
            self._marker = snapshot
            self._last_index = snapshot.index
        for entry in entries:
            at = self._add(parts, at, RecordType.ENTRY, encode_entry(entry))
            self._last_index = entry.index
        if hard_state is not None:
            at = self._add(parts, at, RecordType.STATE, encode_state(hard_state))
            self._state = hard_state
        self._write(b"".join(parts))

    def mark(self, marker: SnapshotMeta) -> None:
        """Write that our own state machine is durable up to ``marker``. The log stands."""
        parts: list[bytes] = []
        self._add(parts, self._offset, RecordType.SNAPSHOT, encode_marker(marker))
        self._write(parts[0])
        self._marker = max(self._marker, marker, key=lambda meta: meta.index)

    def sync(self) -> None:
        """Return once everything appended so far is durable. Raises WalFailed."""
        file = self._usable()
        try:
            file.sync()
        except OSError as e:
            raise self._fail("sync", e) from e
        self._synced_to = self._offset

    def release_to(self, index: int) -> None:
        """Remove the oldest segments as far as all their entries are at or before ``index``."""
        assert index <= self._marker.index, (index, self._marker.index)
        while len(self._segments) > 1 and self._segments[1][1] <= index + 1:
            sequence, _ = self._segments.popleft()
            self._disk.remove(_path(self._directory, sequence))
            # Before the next one goes: a power cut may undo any removal that is not durable, and
            # a log with a gap in it is refused.
            self._disk.sync_dir(self._directory)

    @property
    def marker(self) -> SnapshotMeta:
        """How far the state machine was durable when the log was last told: entries from here on
        are in its files."""
        return self._marker

    def read_back(self, after: int) -> list[Entry]:
        """The entries behind ``after``, from the files. Raises Corrupt and OSError."""
        assert after >= self._marker.index, (after, self._marker.index)
        replay = Replay()
        sequences = [sequence for sequence, _ in self._segments]
        for sequence in sequences:
            path, is_last = _path(self._directory, sequence), sequence == sequences[-1]
            data = self._disk.read(path)
            read_segment(replay, data, path=path, sequence=sequence, is_last=is_last)
            replay.entries = [entry for entry in replay.entries if entry.index > after]
        return replay.entries

    def seal(self) -> None:
        """Write down that everything so far is durable, so that damage to it is known as such."""
        if self._synced_to == self._offset and self._failure is None:
            parts: list[bytes] = []
            self._add(parts, self._offset, RecordType.SYNCED, b"")
            self._write(parts[0])

    def close(self) -> None:
        """Sync, seal and let go of the files. After a failure it only lets go."""
        if self._failure is None:
            self.sync()
            self.seal()
            self.sync()
        if self._file is not None:
            self._file.close()
            self._file = None
        self._lock.close()

    def abandon(self) -> None:
        """Let go of the files without a word, as a killed process would."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._lock.close()

    # --- inside -------------------------------------------------------------------------------

    def _add(self, parts: list[bytes], at: int, type_: RecordType, payload: bytes) -> int:
        record = encode_record(
            type_, payload, sequence=self._sequence, offset=at, synced_to=self._synced_to
        )
        parts.append(record)
        return at + len(record)

    def _write(self, data: bytes) -> None:
        file = self._usable()
        try:
            file.write(data)
        except OSError as e:
            raise self._fail("write", e) from e
        self._offset += len(data)
        self.bytes_written += len(data)

    def _usable(self) -> File:
        if self._failure is not None:
            raise WalFailed(f"the log has failed: {self._failure}") from self._failure
        assert self._file is not None, "the log is closed"
        return self._file

    def _fail(self, what: str, error: OSError) -> WalFailed:
        self._failure = error
        return WalFailed(
            f"cannot {what} {_path(self._directory, self._sequence)}: {error}; "
            f"this member stops so that nothing is acknowledged that is not durable"
        )

    def _cut(self) -> None:
        """Go on in a new segment. The old one is durable first: recovery relies on it."""
        self.sync()
        assert self._file is not None, "just synced"
        self._file.close()
        try:
            self._begin_segment()
        except OSError as e:
            raise self._fail("begin", e) from e

    def _begin_segment(self) -> None:
        sequence = self._sequence + 1
        path = _path(self._directory, sequence)
        header = encode_header(FORMAT_VERSION, sequence, self._metadata)
        self._sequence, self._synced_to = sequence, 0
        parts: list[bytes] = []
        at = self._add(parts, 0, RecordType.HEADER, header)
        at = self._add(parts, at, RecordType.SNAPSHOT, encode_marker(self._marker))
        at = self._add(parts, at, RecordType.STATE, encode_state(self._state))
        file = self._disk.create(path + _TEMPORARY, allocate=self._segment_bytes)
        file.write(b"".join(parts))
        file.sync()
        self._disk.rename(path + _TEMPORARY, path)
        self._disk.sync_dir(self._directory)
        self._file, self._offset, self._synced_to = file, at, at
        self._segments.append((sequence, self._last_index + 1))

    def _resume(self, offset: int) -> None:
        """Go on writing after the last good record, with nothing but zeros behind it."""
        path = _path(self._directory, self._sequence)
        self._file = self._disk.open(path, offset)
        if self._disk.size(path) > offset:
            self._file.truncate(offset)
        self._file.sync()
        self._offset = self._synced_to = offset


def _next_index(replay: Replay) -> int:
    return (replay.entries[-1].index if replay.entries else replay.snapshot.index) + 1


def _sequences(disk: Disk, directory: str) -> list[int]:
    """The segments there are, oldest first; unfinished ones are removed. Raises Corrupt."""
    sequences = []
    for name in disk.list_dir(directory):
        if name.endswith(_TEMPORARY):
            disk.remove(f"{directory}/{name}")
        elif name.endswith(_SUFFIX):
            sequences.append(int(name.removesuffix(_SUFFIX), 16))
    for before, after in pairwise(sequences):
        if after != before + 1:
            raise Corrupt(f"{_path(directory, before + 1)} is missing from the log")
    return sequences


def _path(directory: str, sequence: int) -> str:
    return f"{directory}/{sequence:016x}{_SUFFIX}"
