"""The log after power cuts, cut files, flipped bits and full disks: what was synced is there."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest

from raftkv.errors import ConfigError, Corrupt
from raftkv.raft.message import ConfState, Entry, EntryType, HardState, SnapshotMeta
from raftkv.simulation.disk import SimulatedDisk
from raftkv.wal.disk import OsDisk
from raftkv.wal.log import WalFailed, WriteAheadLog
from raftkv.wal.recovery import Replay
from raftkv.wal.snapshot_dir import SnapshotDir

DIR = "/wal"
FIRST = f"{DIR}/0000000000000001.wal"
META = b'{"who": 1}'


def entry(index: int, term: int = 1, size: int = 40) -> Entry:
    return Entry(term, index, bytes([index % 251]) * size)


def short_log(disk: SimulatedDisk, *, close: bool) -> list[Entry]:
    """Three synced writes of one to three entries."""
    log = WriteAheadLog.create(disk, DIR, META, segment_bytes=4096)
    entries = [entry(i, size=30 * i) for i in range(1, 7)]
    for batch in (entries[:1], entries[1:3], entries[3:]):
        log.append(HardState(1, 2, batch[0].index), batch)
        log.sync()
    log.close() if close else log.abandon()
    return entries


def save(log: WriteAheadLog, one: Entry) -> None:
    log.append(None, [one])
    log.sync()


def reopen(disk: SimulatedDisk) -> Replay:
    log, replay = WriteAheadLog.open(disk, DIR, segment_bytes=4096)
    log.abandon()
    return replay


def test_everything_comes_back() -> None:
    """Metadata, hard state, entries and the snapshot marker, through a clean close."""
    disk = SimulatedDisk()
    log = WriteAheadLog.create(disk, DIR, META)
    marker = SnapshotMeta(2, 1, ConfState((1, 2), (3,), (4,), (5,), True))
    entries = [entry(1), Entry(1, 2, b"", EntryType.CONF_CHANGE), entry(3, 2), entry(4, 2)]
    log.append(HardState(2, 7, 1), entries)
    log.mark(marker)
    log.close()
    replay = reopen(disk)
    assert replay == Replay(META, HardState(2, 7, 1), marker, entries[2:], 0)


def test_a_later_entry_replaces_the_tail() -> None:
    """An entry at an index that is there takes its place and that of all that followed."""
    disk = SimulatedDisk()
    log = WriteAheadLog.create(disk, DIR, META)
    log.append(HardState(1, 0, 0), [entry(i) for i in range(1, 6)])
    log.append(HardState(2, 0, 0), [entry(3, 2)])
    log.close()
    assert [(e.index, e.term) for e in reopen(disk).entries] == [(1, 1), (2, 1), (3, 2)]


def test_a_leaders_snapshot_replaces_a_log_that_disagrees() -> None:
    """A marker that stands on no entry of ours drops what we had beyond it."""
    disk = SimulatedDisk()
    log = WriteAheadLog.create(disk, DIR, META)
    log.append(HardState(1, 0, 0), [entry(i) for i in range(1, 8)])
    log.append(HardState(3, 0, 5), (), SnapshotMeta(5, 3))
    log.close()
    replay = reopen(disk)
    assert (replay.snapshot.index, replay.entries) == (5, [])


def test_every_cut_of_the_file() -> None:
    """A file that ends anywhere is a prefix of what was written, or refused: never wrong."""
    disk = SimulatedDisk()
    entries = short_log(disk, close=False)
    whole = disk.read(FIRST).rstrip(b"\0")
    for size in range(1, len(whole) + 8):
        cut = SimulatedDisk()
        short_log(cut, close=False)
        cut.truncate(FIRST, size)
        try:
            replay = reopen(cut)
        except Corrupt:
            assert size < 200, f"refused a file of {size} bytes, though its head was whole"
            continue
        assert replay.entries == entries[: len(replay.entries)]
        if size >= len(whole):
            assert replay.entries == entries


def test_every_flipped_bit_of_a_closed_log_is_refused_or_harmless() -> None:
    """After a close all is known to be durable: damage is refused, and never cut off."""
    disk = SimulatedDisk()
    entries = short_log(disk, close=True)
    size = len(disk.read(FIRST).rstrip(b"\0"))
    refused = 0
    for bit in range(size * 8):
        disk.flip(FIRST, bit)
        before = disk.read(FIRST)
        try:
            replay = reopen(disk)
        except Corrupt:
            refused += 1
        else:
            assert (replay.entries, replay.hard_state) == (entries, HardState(1, 2, 4)), bit
        damaged = SimulatedDisk()
        assert damaged.calls == 0
        if disk.read(FIRST) != before:  # the last, empty record may be cut: it held nothing
            short_log_again(disk)
            continue
        disk.flip(FIRST, bit)
    assert refused > 0.9 * (size - 32) * 8, (refused, size * 8)


def short_log_again(disk: SimulatedDisk) -> None:
    disk.__init__()  # type: ignore[misc]
    short_log(disk, close=True)


@pytest.mark.parametrize("seed", range(150))
def test_power_cuts(seed: int) -> None:
    """At any moment the power may go: the log opens, and what was synced is all there."""
    random, disk = Random(seed), SimulatedDisk()
    log = WriteAheadLog.create(disk, DIR, META, segment_bytes=1024)
    synced: list[Entry] = []
    pending: list[Entry] = []
    state, synced_state, marker = HardState(), HardState(), SnapshotMeta()
    for _ in range(random.randrange(2, 40)):
        dice = random.random()
        if dice < 0.55:
            state = HardState(state.term + 1, random.randrange(4), state.commit)
            last = pending or synced
            batch = [entry(last[-1].index + 1 if last else 1, state.term, random.randrange(900))]
            log.append(state, batch)
            pending = (pending or list(synced)) + batch
        elif dice < 0.85:
            log.sync()
            synced, pending, synced_state = pending or synced, [], state
        elif synced and not pending:
            marker = SnapshotMeta(synced[-1].index, synced[-1].term)
            log.mark(marker)
            log.sync()
            synced_state = state
            log.release_to(marker.index)
        if random.random() < 0.1:
            disk.power_cut(random)
            log, replay = WriteAheadLog.open(disk, DIR, segment_bytes=1024)
            check(replay, synced, pending, marker, synced_state)
            synced = list(replay.entries) or synced[-1:]
            synced_state = state = replay.hard_state
            pending = []


def test_segments_are_released_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each removal is durable before the next: a power cut that undid the first of two would leave
    a gap in the log, which is refused."""
    disk = SimulatedDisk()
    log = WriteAheadLog.create(disk, DIR, META, segment_bytes=512)
    for index in range(1, 9):
        log.append(None, [entry(index, 1, 600)])
        log.sync()
    calls: list[str] = []
    remove, sync_dir = disk.remove, disk.sync_dir
    monkeypatch.setattr(disk, "remove", lambda path: (calls.append("remove"), remove(path)))
    monkeypatch.setattr(disk, "sync_dir", lambda path: (calls.append("sync"), sync_dir(path)))
    log.mark(SnapshotMeta(6, 1))
    log.sync()
    log.release_to(6)
    assert calls == ["remove", "sync"] * (len(calls) // 2)
    assert len(calls) >= 8, calls


def check(
    replay: Replay,
    synced: list[Entry],
    pending: list[Entry],
    marker: SnapshotMeta,
    state: HardState,
) -> None:
    assert replay.metadata == META
    assert replay.snapshot.index >= marker.index
    durable = [e for e in synced if e.index > replay.snapshot.index]
    assert replay.entries[: len(durable)] == durable
    rest = [e for e in pending if e.index > replay.snapshot.index][len(durable) :]
    assert replay.entries[len(durable) :] == rest[: len(replay.entries) - len(durable)]
    assert replay.hard_state.term >= state.term


@pytest.mark.parametrize("what", ["fail_sync", "fail_write"])
def test_a_failing_disk_is_never_trusted_again(what: str) -> None:
    """After one error every call fails, though the disk would say yes again."""
    disk = SimulatedDisk()
    log = WriteAheadLog.create(disk, DIR, META)
    log.append(HardState(1, 0, 0), [entry(1)])
    setattr(disk, what, errno.EIO)
    with pytest.raises(WalFailed, match="injected"):
        save(log, entry(2))
    setattr(disk, what, 0)
    for call in (log.sync, lambda: log.append(None, [entry(3)])):
        with pytest.raises(WalFailed, match="the log has failed"):
            call()
    log.close()


def test_old_segments_go_once_a_marker_covers_them() -> None:
    """Whole segments below the marker are removed; the rest still says everything."""
    disk = SimulatedDisk()
    log = WriteAheadLog.create(disk, DIR, META, segment_bytes=512)
    for index in range(1, 40):
        log.append(HardState(1, 0, index), [entry(index, size=100)])
        log.sync()
    before = len(disk.list_dir(DIR))
    log.mark(SnapshotMeta(30, 1))
    log.sync()
    log.release_to(30)
    assert len(disk.list_dir(DIR)) < before / 2
    log.close()
    replay = reopen(disk)
    assert [e.index for e in replay.entries] == list(range(31, 40))


def test_a_missing_segment_is_refused() -> None:
    """A hole in the sequence of files is damage, named by the file that is missing."""
    disk = SimulatedDisk()
    log = WriteAheadLog.create(disk, DIR, META, segment_bytes=512)
    for index in range(1, 20):
        log.append(None, [entry(index, size=100)])
        log.sync()
    log.close()
    disk.remove(f"{DIR}/0000000000000002.wal")
    with pytest.raises(Corrupt, match=r"0000000000000002.wal is missing"):
        reopen(disk)


def test_two_processes_cannot_share_a_log(tmp_path: Path) -> None:
    """The second one is told that the directory is in use."""
    log = WriteAheadLog.create(OsDisk(), str(tmp_path / "wal"), META)
    with pytest.raises(ConfigError, match="in use by another process"):
        WriteAheadLog.open(OsDisk(), str(tmp_path / "wal"))
    log.close()
    WriteAheadLog.open(OsDisk(), str(tmp_path / "wal"))[0].close()


def test_snapshot_files_are_whole_or_refused(tmp_path: Path) -> None:
    """A received file gets its name only if its checksum holds; leftovers are cleared away."""
    disk = OsDisk()
    made = SnapshotDir(disk, str(tmp_path / "made"))
    image = made.fresh_image_path()
    Path(image).write_bytes(b"image" * 1000)
    path = made.adopt(image, 7)
    whole = Path(path).read_bytes()
    received = SnapshotDir(disk, str(tmp_path / "received"))
    file = received.incoming()
    file.write(whole[:100])
    file.write(whole[100:])
    file.commit(7)
    assert disk.read(received.path(7)) == whole
    broken = received.incoming()
    broken.write(whole[:-1])
    with pytest.raises(Corrupt, match="not a whole snapshot"):
        broken.commit(9)
    broken.discard()
    assert [path.name for path in (tmp_path / "received").iterdir()] == [
        Path(received.path(7)).name
    ]
    assert SnapshotDir(disk, str(tmp_path / "received")).indexes() == [7]
    received.purge(8)
    assert received.indexes() == []


def test_a_snapshot_that_finds_no_room_is_refused_where_it_is_written() -> None:
    """Whoever receives one opens it on the event loop: that makes no file yet. The first chunk
    does, on a worker, and its error is the stream's; a later try starts anew."""
    disk = SimulatedDisk()
    received = SnapshotDir(disk, "/snap")
    disk.fail_write = errno.ENOSPC
    file = received.incoming()
    with pytest.raises(OSError, match="No space left"):
        file.write(b"image")
    disk.fail_write = 0
    file.discard()
    with pytest.raises(AssertionError, match="was committed or discarded"):
        file.write(b"image")
    received.incoming().discard()
    assert disk.list_dir("/snap") == []


def test_entries_are_read_back_while_the_log_is_open() -> None:
    """Over several segments, of each index what was written last, and the log goes on after it."""
    disk = SimulatedDisk()
    log = WriteAheadLog.create(disk, DIR, META, segment_bytes=4096)
    for index in range(1, 101):
        save(log, entry(index, size=200))
    log.append(None, [entry(99, 2), entry(100, 2)])
    log.sync()
    assert len([name for name in disk.list_dir(DIR) if name.endswith(".wal")]) > 3
    found = log.read_back(30)
    assert [(e.index, e.term) for e in found[-3:]] == [(98, 1), (99, 2), (100, 2)]
    assert [e.index for e in found] == [*range(31, 101)]
    assert found[0] == entry(31, size=200)
    save(log, entry(101, 2))
    log.abandon()
    assert reopen(disk).entries[-1] == entry(101, 2)
