"""Copies of the database under virtual time, on real LMDB files: defragmenting, and backups."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftkv.api.rpc_pb2 import DeleteRangeRequest, PutRequest
from raftkv.apply.batch import RequestKind
from raftkv.backend.environment import LmdbBackend
from raftkv.errors import RaftKVError, TooManyRequests
from raftkv.mvcc.store import Store
from raftkv.server.backup import BACKUPS_MAX, KEEP_S, Backup
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import MemberProcess

Outcomes = list[bytes | RaftKVError]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[SimulatedCluster]:
    cluster = SimulatedCluster(tmp_path, size=1, seed=3)
    cluster.start_all()
    cluster.wait_for_leader()
    yield cluster
    cluster.stop_all()


def put(process: MemberProcess, key: bytes, value: bytes, outcomes: Outcomes) -> None:
    payload = PutRequest(key=key, value=value).SerializeToString()
    process.member.propose(RequestKind.PUT, payload, outcomes.append)


def fill(cluster: SimulatedCluster, count: int, value_bytes: int = 2000) -> None:
    outcomes: Outcomes = []
    for number in range(count):
        put(cluster.running[0], b"key%05d" % number, b"v" * value_bytes, outcomes)
    assert cluster.scheduler.run_until(lambda: len(outcomes) == count, within_s=60)
    assert all(isinstance(outcome, bytes) for outcome in outcomes)


def remove_all(cluster: SimulatedCluster) -> None:
    """Delete every key and compact, until the rows are gone."""
    outcomes: Outcomes = []
    member = cluster.running[0].member
    delete = DeleteRangeRequest(key=b"\0", range_end=b"\0").SerializeToString()
    member.propose(RequestKind.DELETE_RANGE, delete, outcomes.append)
    assert cluster.scheduler.run_until(lambda: bool(outcomes), within_s=20)
    member.store.compact(member.store.current_revision)
    while not member.store.compact_step(1000):
        pass
    cluster.scheduler.run_for(10)


def test_defragmenting_under_writes(cluster: SimulatedCluster) -> None:
    """The file shrinks, rows written, changed and deleted while the copy was made are there, and a
    member killed right after finds them all."""
    process = cluster.running[0]
    fill(cluster, 1000)
    remove_all(cluster)
    fill(cluster, 20, 10)
    before = process.member.status().db_size
    done: list[RaftKVError | None] = []
    process.member.maintenance.defragment(done.append)
    outcomes: Outcomes = []
    written = 0
    while not done:
        put(process, b"key%05d" % (written % 40), b"new%d" % written, outcomes)
        written += 1
        assert written < 100_000, "it never ended"
        cluster.scheduler.run_for(0.0003)
    assert done == [None]
    assert written > 3, "nothing was written meanwhile"
    assert cluster.scheduler.run_until(lambda: len(outcomes) == written, within_s=20)
    assert process.member.status().db_size < before / 3
    expected = process.member.store.hash_kv(0)
    cluster.machines[0].kill()
    assert cluster.machines[0].start()
    cluster.wait_for_leader()
    cluster.settle()
    assert cluster.running[0].member.store.hash_kv(0) == expected
    fill(cluster, 5)


def test_two_ask_to_defragment_at_once(cluster: SimulatedCluster) -> None:
    """Both are answered, and no copy is left behind."""
    process = cluster.running[0]
    done: list[RaftKVError | None] = []
    process.member.maintenance.defragment(done.append)
    process.member.maintenance.defragment(done.append)
    assert cluster.scheduler.run_until(lambda: len(done) == 2, within_s=20)
    assert done == [None, None]
    assert not list(Path(cluster.machines[0].config.data_dir).glob("member/snap/*.tmp"))


def test_a_database_replaced_meanwhile_is_left_alone(cluster: SimulatedCluster) -> None:
    """A leader's snapshot takes the file's place: the copy is of another database, and goes."""
    process = cluster.running[0]
    backend = process.foundation.backend
    done: list[RaftKVError | None] = []
    process.member.maintenance.defragment(done.append)
    assert cluster.scheduler.run_until(lambda: backend.is_tracking, within_s=20)
    backend.forget_changes()
    assert cluster.scheduler.run_until(lambda: bool(done), within_s=20)
    assert isinstance(done[0], RaftKVError)
    assert not list(Path(cluster.machines[0].config.data_dir).glob("member/snap/*.tmp"))
    fill(cluster, 3)


def read_all(cluster: SimulatedCluster, backup: Backup) -> bytes:
    pieces: list[bytes] = []
    while not pieces or pieces[-1]:
        count = len(pieces)

        def got(piece: bytes | RaftKVError) -> None:
            assert isinstance(piece, bytes), piece
            pieces.append(piece)

        backup.read(got)
        assert cluster.scheduler.run_until(lambda seen=count: len(pieces) > seen, within_s=20)
    return b"".join(pieces)


def test_a_backup_holds_all_that_was_acknowledged(
    cluster: SimulatedCluster, tmp_path: Path
) -> None:
    """Writes that no commit had covered yet are in it; its size and digest are those of its
    bytes; its file goes when it is closed."""
    process = cluster.running[0]
    fill(cluster, 30)
    expected = process.member.store.hash_kv(0)
    opened: list[Backup | RaftKVError] = []
    process.member.maintenance.open_backup(opened.append)
    assert cluster.scheduler.run_until(lambda: bool(opened), within_s=20)
    backup = opened[0]
    assert isinstance(backup, Backup)
    fill(cluster, 40)
    image = read_all(cluster, backup)
    assert (len(image), hashlib.sha256(image).digest()) == (backup.size, backup.digest)
    assert len(image) % 512 == 0, "etcdctl asks for it"
    (tmp_path / "image").write_bytes(image)
    copy = LmdbBackend(str(tmp_path / "image"))
    assert Store(copy).hash_kv(0) == expected
    copy.close()
    files = Path(cluster.machines[0].config.data_dir)
    assert list(files.glob("member/snap/copy-*"))
    backup.close()
    gone = cluster.scheduler.run_until(
        lambda: not list(files.glob("member/snap/copy-*")), within_s=20
    )
    assert gone


def test_backups_are_bounded(cluster: SimulatedCluster) -> None:
    """Each is a file of the database's size: so many at once, and one more when one is closed."""
    opened: list[Backup | RaftKVError] = []
    maintenance = cluster.running[0].member.maintenance
    for _ in range(BACKUPS_MAX):
        maintenance.open_backup(opened.append)
    with pytest.raises(TooManyRequests):
        maintenance.open_backup(opened.append)
    assert cluster.scheduler.run_until(lambda: len(opened) == BACKUPS_MAX, within_s=20)
    for backup in opened:
        assert isinstance(backup, Backup)
        backup.close()
    cluster.scheduler.run_for(1)
    maintenance.open_backup(opened.append)


def open_backup(cluster: SimulatedCluster) -> Backup:
    opened: list[Backup | RaftKVError] = []
    cluster.running[0].member.maintenance.open_backup(opened.append)
    assert cluster.scheduler.run_until(lambda: bool(opened), within_s=20)
    assert isinstance(opened[0], Backup)
    return opened[0]


def copies(cluster: SimulatedCluster) -> int:
    return len(list(Path(cluster.machines[0].config.data_dir).glob("member/snap/copy-*")))


def test_a_backup_is_kept_for_a_reader_that_comes_back(cluster: SimulatedCluster) -> None:
    """By its name, once, from any byte that was read, with the whole's digest; after two minutes
    the file is gone."""
    fill(cluster, 30)
    maintenance = cluster.running[0].member.maintenance
    backup = open_backup(cluster)
    image = read_all(cluster, backup)
    digest = backup.digest
    for offset in (len(image), len(image) // 2, 0):
        maintenance.keep_backup("mine", backup)
        assert maintenance.take_backup("other") is None
        taken = maintenance.take_backup("mine")
        assert taken is backup
        assert maintenance.take_backup("mine") is None
        moved: list[RaftKVError | None] = []
        backup.go_back(offset, moved.append)
        assert cluster.scheduler.run_until(lambda seen=moved: seen == [None], within_s=20)
        assert read_all(cluster, backup) == image[offset:]
        assert backup.digest == digest
    maintenance.keep_backup("mine", backup)
    cluster.scheduler.run_for(KEEP_S - 1)
    assert copies(cluster) == 1
    cluster.scheduler.run_for(2)
    assert (copies(cluster), maintenance.take_backup("mine")) == (0, None)


def test_kept_backups_give_way(cluster: SimulatedCluster) -> None:
    """They count as files on the disk, and the oldest goes when a reader needs its place."""
    maintenance = cluster.running[0].member.maintenance
    for number in range(BACKUPS_MAX):
        maintenance.keep_backup(f"image-{number}", open_backup(cluster))
    open_backup(cluster)
    assert copies(cluster) == BACKUPS_MAX
    assert maintenance.take_backup("image-0") is None
    assert maintenance.take_backup("image-1") is not None
