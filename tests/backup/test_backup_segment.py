"""The files of the log: what is torn ends them, what is damaged is never believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftkv.backup.directory import BackupDirectory
from raftkv.backup.record import Change, Kind, Record, SegmentHead, decode_changes
from raftkv.backup.replay import LogReader
from raftkv.backup.segment import SegmentReader, cut_tail
from raftkv.backup.writing import LogWriter, taken_up
from raftkv.errors import ConfigError, Corrupt
from raftkv.wal.disk import OsDisk

HEAD = SegmentHead(1, 1, 77, 5, "")
CHANGES = [Change(False, b"\x0a\x01k\x2a\x03abc"), Change(True, b"\x0a\x01j")]


@pytest.fixture
def directory(tmp_path: Path) -> BackupDirectory:
    found = BackupDirectory(OsDisk(), str(tmp_path / "backup"))
    found.disk.make_dir(found.path)
    return found


def written(directory: BackupDirectory, revisions: int, segment_bytes: int = 1 << 20) -> list[Path]:
    writer = LogWriter(directory, lambda: 1_000, HEAD, segment_bytes=segment_bytes)
    for revision in range(5, 5 + revisions):
        writer.add_revision(revision, CHANGES)
        writer.write(writer.take())
        assert writer.kept_revision == revision
    writer.close()
    return [Path(each.path) for each in directory.chains()[0].segments]


def revisions_in(records: LogReader | SegmentReader) -> list[int]:
    found = []
    for record in records:
        assert isinstance(record, Record)
        if record.kind is Kind.REVISION:
            assert list(decode_changes(record.body)) == CHANGES
            found.append(record.revision)
    return found


def test_a_log_is_read_as_it_was_written(directory: BackupDirectory) -> None:
    """Over many segments, each of which names the digest of the one before; files are 0600."""
    files = written(directory, 30, segment_bytes=300)
    assert len(files) > 5
    assert revisions_in(LogReader(directory.disk, directory.chains()[0].segments)) == list(
        range(5, 35)
    )
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_torn_tail_ends_the_segment(directory: BackupDirectory) -> None:
    """Cut at every byte: exactly the whole records are read, and how much is left is told."""
    (path,) = written(directory, 3)
    whole = path.read_bytes()
    reader = SegmentReader(directory.disk, str(path))
    ends = [reader.size]
    for _ in reader:
        ends.append(reader.size)
    for size in range(ends[0], len(whole)):
        path.write_bytes(whole[:size])
        reader = SegmentReader(directory.disk, str(path))
        kept = sum(end <= size for end in ends) - 1
        assert revisions_in(reader) == list(range(5, 5 + kept))
        assert reader.torn_bytes == size - ends[kept]
    path.write_bytes(whole[: ends[0] - 1])
    with pytest.raises(Corrupt, match="does not begin as a segment"):
        SegmentReader(directory.disk, str(path))


def test_a_flipped_byte_is_never_believed(directory: BackupDirectory) -> None:
    """At every place: what is read is a part of what was written, and the rest is told."""
    (path,) = written(directory, 3)
    whole = path.read_bytes()
    head_bytes = SegmentReader(directory.disk, str(path)).size
    for at in range(head_bytes, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        reader = SegmentReader(directory.disk, str(path))
        found = revisions_in(reader)
        assert found == list(range(5, 5 + len(found)))
        assert len(found) < 3
        assert reader.torn_bytes > 0


def test_a_segment_that_was_swapped_is_noticed(directory: BackupDirectory) -> None:
    """A later segment whose predecessor changed since does not follow it, checksums or not."""
    files = written(directory, 30, segment_bytes=300)
    other = BackupDirectory(OsDisk(), directory.path + "-other")
    other.disk.make_dir(other.path)
    writer = LogWriter(other, lambda: 2_000, HEAD, segment_bytes=300)
    for revision in range(5, 35):
        writer.add_revision(revision, CHANGES)
        writer.write(writer.take())
    writer.close()
    files[2].write_bytes(Path(other.chains()[0].segments[2].path).read_bytes())
    with pytest.raises(Corrupt, match="does not follow"):
        revisions_in(LogReader(directory.disk, directory.chains()[0].segments))


def test_the_next_run_goes_on_where_the_last_one_was_killed(directory: BackupDirectory) -> None:
    """A torn tail is cut off for good, a segment that had not got its name yet is removed, and the
    next one is chained to what is left."""
    (path,) = written(directory, 3)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    unused = Path(directory.segment_path(1, 2, 8) + ".part")
    unused.write_bytes(b"\0\0")
    assert directory.remove_unfinished() == [unused.name]
    found = taken_up(directory)
    assert found is not None
    head, cut = found
    assert (head.number, head.first_revision, head.cluster_id) == (2, 7, 77)
    assert cut > 2
    writer = LogWriter(directory, lambda: 1_000, head)
    with pytest.raises(Corrupt, match="revision 9 came after 6"):
        writer.add_revision(9, CHANGES)
    writer.add_revision(7, CHANGES)
    writer.write(writer.take())
    writer.close()
    log = LogReader(directory.disk, directory.chains()[0].segments)
    assert revisions_in(log) == [5, 6, 7]
    assert cut_tail(directory.disk, str(path)) == (head.previous, 6, 0)


def test_an_end_that_cannot_be_read_is_not_removed(directory: BackupDirectory) -> None:
    """A large file with a damaged head may be all there is: it stays, and is told."""
    path = Path(directory.segment_path(1, 1, 5))
    path.write_bytes(b"\xff" * 10_000)
    with pytest.raises(Corrupt, match="does not begin"):
        taken_up(directory)
    assert path.exists()


def test_one_writer_at_a_time(directory: BackupDirectory) -> None:
    """A second `backup run` to the same directory is refused by name."""
    held = directory.lock()
    with pytest.raises(ConfigError, match="another `backup run` writes to"):
        directory.lock()
    held.close()
    directory.lock().close()


def test_a_full_disk_leaves_what_was_kept(directory: BackupDirectory) -> None:
    """A write that fails half-way ends the writing; the revisions before it are read as before."""

    class SmallFile:
        def __init__(self, file: object, room: int) -> None:
            self._file, self._room = file, room

        def write(self, data: bytes) -> None:
            fits, self._room = data[: self._room], max(self._room - len(data), 0)
            self._file.write(fits)  # type: ignore[attr-defined]
            if len(fits) < len(data):
                raise OSError(28, "No space left on device")

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

    class SmallDisk(OsDisk):
        def create(self, path: str, *, allocate: int = 0) -> SmallFile:  # type: ignore[override]
            return SmallFile(super().create(path, allocate=allocate), 300)

    small = BackupDirectory(SmallDisk(), directory.path)
    writer = LogWriter(small, lambda: 1_000, HEAD)
    for revision in range(5, 30):
        writer.add_revision(revision, CHANGES)
        batch = writer.take()
        try:
            writer.write(batch)
        except OSError:
            break
    assert 5 <= writer.kept_revision < 29
    writer.add_revision(revision + 1, CHANGES)
    with pytest.raises(OSError, match="No space"):
        writer.write(writer.take())
    log = LogReader(directory.disk, directory.chains()[0].segments)
    assert revisions_in(log) == list(range(5, writer.kept_revision + 1))
    assert log.torn_bytes > 0
