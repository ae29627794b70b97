"""Restoring random histories: what comes back is what was there, to the byte, at every revision."""

from __future__ import annotations

from pathlib import Path

import pytest
from past_store import PastStore

from raftkv.backend.environment import LmdbBackend
from raftkv.backup.directory import BackupDirectory
from raftkv.backup.image import hash_of
from raftkv.backup.replay import replay
from raftkv.backup.restoring import restore_point
from raftkv.backup.timeline import point_at_end, point_at_revision, point_at_time
from raftkv.backup.verification import rows_of, verify
from raftkv.errors import Compacted, ConfigError, Corrupt
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.codec import decode_row
from raftkv.mvcc.hash import HashResult
from raftkv.mvcc.query import KeyValue
from raftkv.mvcc.store import Store
from raftkv.server.config import ServerConfig
from raftkv.server.restore import RestoreOptions, unpack

UNSAFE = RestoreOptions(bump_revision=0)


def live(store: Store) -> dict[bytes, KeyValue]:
    rows = [decode_row(row) for _, row in store.latest.scan(b"", None)]
    return {kv.key: kv for kv in rows}


def hanging_on(leases: LeaseBook, store: Store) -> dict[int, list[bytes]]:
    expected: dict[int, list[bytes]] = {lease.id: [] for lease in leases.leases}
    for kv in live(store).values():
        if kv.lease:
            expected[kv.lease].append(kv.key)
    return {lease: sorted(keys) for lease, keys in expected.items()}


@pytest.mark.parametrize("seed", range(4))
def test_every_revision_comes_back(tmp_path: Path, seed: int) -> None:
    """A random history with compactions and two bases: for each revision from the first base on,
    the key space is the model's with all its revisions and versions, each lease has its keys, and
    the hash is the one that the original has at that revision."""
    past = PastStore(tmp_path, seed)
    hashes: dict[int, HashResult] = {}
    for turn in range(90):
        if turn in (10, 60):
            past.save_base()
        elif turn % 25 == 24:
            past.compact()
        past.write()
        hashes[past.revision] = past.store.hash_kv(0)
    past.close()
    first = past.directory.chains()[0].bases[0].revision
    assert past.revision > first + 30
    for revision in range(first, past.revision + 1):
        chain = point_at_revision(past.directory, revision).chain
        base = point_at_revision(past.directory, revision).base
        unpack(base.path, str(tmp_path / "image"), past.directory.disk)
        backend = LmdbBackend(str(tmp_path / "image"))
        done = replay(backend, past.directory.disk, chain, revision)
        store = Store(backend)
        assert (store.current_revision, done.lost_leases) == (revision, set())
        assert live(store) == past.at[revision]
        assert hash_of(store, hashes[revision].compact_revision) == hashes[revision]
        leases = LeaseBook(backend)
        found = {lease.id: leases.keys(lease.id) for lease in leases.leases}
        assert found == hanging_on(leases, store)
        backend.close()
        (tmp_path / "image").unlink()


def test_a_point_in_time_is_the_last_revision_before_it(tmp_path: Path) -> None:
    """A moment between two writes gives the earlier one; one before the first base is refused with
    what there is; one after the end gives the end and says so."""
    past = PastStore(tmp_path, 5)
    for _ in range(5):
        past.write()
    base = past.save_base()
    while past.revision < 20:
        past.write()
    past.close()
    for revision in range(base.revision, past.revision):
        point = point_at_time(past.directory, past.time_ms[revision] + 999)
        assert (point.revision, point.is_after_end) == (revision, False)
    late = point_at_time(past.directory, past.time_ms[past.revision] + 1)
    assert (late.revision, late.is_after_end) == (past.revision, True)
    assert point_at_end(past.directory).revision == past.revision
    with pytest.raises(ConfigError, match=f"revisions {base.revision} to {past.revision}"):
        point_at_time(past.directory, past.time_ms[base.revision - 1])
    for beyond in (base.revision - 1, past.revision + 1):
        with pytest.raises(ConfigError, match=f"revision {beyond} back; it has revisions"):
            point_at_revision(past.directory, beyond)


def restored_store(past: PastStore, directory: Path, options: RestoreOptions) -> Store:
    config = ServerConfig(data_dir=str(directory))
    point = point_at_end(past.directory)
    done = restore_point(past.directory, point, config, options, LmdbBackend)
    assert done.restored.saved_revision == past.revision
    return Store(LmdbBackend(str(directory / "member" / "db")))


def test_a_restored_cluster_is_beyond_all_that_clients_saw(tmp_path: Path) -> None:
    """By default revisions go on a billion later, compacted: whoever watches from before is told.
    Only with the unsafe option does the history go on where the backup ends."""
    past = PastStore(tmp_path, 6)
    past.save_base()
    for _ in range(30):
        past.write()
    past.close()
    store = restored_store(past, tmp_path / "safe", RestoreOptions())
    assert store.current_revision == past.revision + 1_000_000_000
    assert live(store) == past.at[past.revision]
    for seen in (1, past.revision, past.revision + 500):
        with pytest.raises(Compacted):
            store.events_since(seen, 10)
    store = restored_store(past, tmp_path / "unsafe", UNSAFE)
    assert store.current_revision == past.revision


def test_every_damage_is_found(tmp_path: Path) -> None:
    """A flipped byte in the middle of any file, a segment that is missing or from elsewhere: verify
    names the file, and what is restored from there is refused."""
    past = PastStore(tmp_path, 7, segment_bytes=3_000)
    past.save_base()
    for turn in range(60):
        past.write()
        if turn == 40:
            past.save_base()
    past.close()
    directory = past.directory
    assert not [row for row in verify(directory, LmdbBackend) if row.problem]
    files = [Path(row.path) for row in rows_of(directory)]
    assert len(files) > 6
    for path in files:
        whole = path.read_bytes()
        damaged = bytearray(whole)
        damaged[len(whole) // 2] ^= 1
        path.write_bytes(damaged)
        wrong = [row for row in verify(directory, LmdbBackend) if row.problem]
        assert path.name in [Path(row.path).name for row in wrong], path
        path.write_bytes(whole)
    segment = files[-3]
    segment.rename(tmp_path / "away")
    first = directory.chains()[0].bases[0]
    with pytest.raises(Corrupt, match="is missing between"):
        _replay_all(directory, first.path, tmp_path)
    (tmp_path / "away").rename(segment)
    _replay_all(directory, first.path, tmp_path)


def _replay_all(directory: BackupDirectory, base: str, place: Path) -> None:
    image = place / "image"
    image.unlink(missing_ok=True)
    unpack(base, str(image), directory.disk)
    backend = LmdbBackend(str(image))
    try:
        replay(backend, directory.disk, directory.chains()[0], 1 << 40)
    finally:
        backend.close()


def test_a_log_of_another_history_is_refused(tmp_path: Path) -> None:
    """Two clusters' files under one name: versions that do not come out as recorded stop it."""
    mine, other = PastStore(tmp_path / "mine", 8), PastStore(tmp_path / "other", 9)
    for past in (mine, other):
        for _ in range(20):
            past.write()
    other.save_base()
    while min(mine.revision, other.revision) < 60:
        mine.write()
        other.write()
    mine.close()
    other.close()
    base = other.directory.chains()[0].bases[0]
    with pytest.raises(Corrupt, match=r"not of one cluster|does not hold"):
        _replay_all(mine.directory, base.path, tmp_path)


@pytest.mark.parametrize("facts", [None, b"", b"{}", b'{"revision": "x"}'])
def test_a_base_without_its_facts_is_left_out(tmp_path: Path, facts: bytes | None) -> None:
    """It is told by list and verify, nothing removes it, and what else there is can be restored."""
    past = PastStore(tmp_path, 10)
    for turn in range(40):
        if turn in (10, 25):
            past.save_base()
        past.write()
    past.close()
    first, second = past.directory.chains()[0].bases
    path = Path(second.path).with_suffix(".json")
    path.unlink() if facts is None else path.write_bytes(facts)
    assert past.directory.without_facts() == [second.path]
    assert point_at_end(past.directory).base == first
    for rows in (rows_of(past.directory), verify(past.directory, LmdbBackend)):
        assert [row.path for row in rows if row.problem] == [second.path]
    past.directory.prune(1)
    assert Path(second.path).exists()
    assert restored_store(past, tmp_path / "new", UNSAFE).current_revision == past.revision
