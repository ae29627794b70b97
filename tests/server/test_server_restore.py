"""A saved snapshot becomes a new cluster: the same key space under another identity."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from raftkv.api.rpc_pb2 import DeleteRangeRequest, PutRequest, PutResponse
from raftkv.apply.batch import RequestKind
from raftkv.backend.environment import LmdbBackend
from raftkv.errors import Compacted, ConfigError, Corrupt, RaftKVError
from raftkv.mvcc.hash import HashResult
from raftkv.server.config import ServerConfig
from raftkv.server.restore import RestoreOptions, restore
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.wal.disk import OsDisk

UNSAFE = RestoreOptions(bump_revision=0)


def save(directory: Path, writes: int) -> tuple[Path, HashResult]:
    """A cluster of one writes, and its database is saved as `etcdctl snapshot save` does."""
    cluster = SimulatedCluster(directory, size=1, seed=1)
    cluster.start_all()
    cluster.wait_for_leader()
    for number in range(writes):
        propose(cluster, RequestKind.PUT, PutRequest(key=b"k%d" % (number % 7), value=b"v"))
    propose(cluster, RequestKind.DELETE_RANGE, DeleteRangeRequest(key=b"k3"))
    process = cluster.running[0]
    process.member.maintenance.defragment(lambda error: None)
    cluster.scheduler.run_for(10)
    process.foundation.backend.copy_to(str(directory / "image"))
    result = process.member.store.hash_kv(0)
    cluster.stop_all()
    path = directory / "saved.db"
    image = (directory / "image").read_bytes()
    path.write_bytes(image + hashlib.sha256(image).digest())
    return path, result


def propose(
    cluster: SimulatedCluster, kind: RequestKind, request: PutRequest | DeleteRangeRequest
) -> bytes:
    outcomes: list[bytes | RaftKVError] = []
    member = cluster.running[-1].member
    member.propose(kind, request.SerializeToString(), outcomes.append)
    assert cluster.scheduler.run_until(lambda: bool(outcomes), within_s=20)
    assert isinstance(outcomes[0], bytes), outcomes[0]
    return outcomes[0]


def restored(
    saved: Path, directory: Path, options: RestoreOptions | None = None
) -> SimulatedCluster:
    """Three machines whose data directories were made from ``saved``, running."""
    cluster = SimulatedCluster(directory, size=3, seed=2)
    for machine in cluster.machines:
        restore(str(saved), machine.config, options or UNSAFE, OsDisk(), LmdbBackend)
    cluster.start_all()
    cluster.wait_for_leader()
    cluster.settle()
    return cluster


def test_a_cluster_of_one_becomes_one_of_three(tmp_path: Path) -> None:
    """All members hold the saved history, under ids of their own; writes go on at the next
    revision, and survive that all are killed."""
    (tmp_path / "old").mkdir()
    saved, expected = save(tmp_path / "old", 50)
    cluster = restored(saved, tmp_path / "new")
    for process in cluster.running:
        assert process.member.store.hash_kv(0) == expected
    assert len({process.member.member_id for process in cluster.running}) == 3
    assert len(cluster.running[0].member.members()) == 3
    answer = propose(cluster, RequestKind.PUT, PutRequest(key=b"new", value=b"1"))
    assert PutResponse.FromString(answer).header.revision == expected.hash_revision + 1
    cluster.stop_all()
    cluster.start_all()
    cluster.wait_for_leader()
    cluster.settle()
    hashes = {process.member.store.hash_kv(0) for process in cluster.running}
    assert len(hashes) == 1
    assert hashes.pop().hash_revision == expected.hash_revision + 1
    cluster.stop_all()


def test_a_distance_to_what_clients_saw(tmp_path: Path) -> None:
    """The new cluster goes on later, and compacted: a watch of what was in between is told."""
    (tmp_path / "old").mkdir()
    saved, expected = save(tmp_path / "old", 20)
    cluster = restored(saved, tmp_path / "new", RestoreOptions(1000))
    store = cluster.running[0].member.store
    assert store.current_revision == expected.hash_revision + 1000
    with pytest.raises(Compacted):
        store.events_since(expected.hash_revision, 10)
    assert store.get(b"k1") is not None
    answer = propose(cluster, RequestKind.PUT, PutRequest(key=b"k1", value=b"1"))
    assert PutResponse.FromString(answer).header.revision == expected.hash_revision + 1001
    cluster.settle()
    cluster.scheduler.run_for(5)
    assert len({process.member.store.hash_kv(0) for process in cluster.running}) == 1
    cluster.stop_all()


def test_what_is_damaged_is_refused(tmp_path: Path) -> None:
    """A flipped byte, a missing end, no checksum: refused, and no directory is left behind."""
    (tmp_path / "old").mkdir()
    saved, _ = save(tmp_path / "old", 5)
    whole = saved.read_bytes()
    config = ServerConfig(data_dir=str(tmp_path / "new"))
    flipped = bytearray(whole)
    flipped[5000] ^= 1
    for damaged in (bytes(flipped), whole[:-1], whole[:-32], whole + b"x", b""):
        saved.write_bytes(damaged)
        with pytest.raises(Corrupt):
            restore(str(saved), config, RestoreOptions(), OsDisk(), LmdbBackend)
        assert not (tmp_path / "new").exists()
    saved.write_bytes(whole[:-32])
    options = RestoreOptions(check_hash=False)
    made = restore(str(saved), config, options, OsDisk(), LmdbBackend)
    assert (made.saved_revision, made.revision) == (7, 1_000_000_007)
    assert (tmp_path / "new" / "member" / "db").exists()


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    """A directory with something in it, a name that is not in the cluster, jumps without sense."""
    (tmp_path / "old").mkdir()
    saved, _ = save(tmp_path / "old", 5)
    taken = ServerConfig(data_dir=str(tmp_path / "old"))
    nobody = ServerConfig(name="nobody", data_dir=str(tmp_path / "new"))
    fine = ServerConfig(data_dir=str(tmp_path / "new"))
    for config, options in (
        (taken, RestoreOptions()),
        (nobody, RestoreOptions()),
        (fine, RestoreOptions(-1)),
        (fine, RestoreOptions(1 << 60)),
    ):
        with pytest.raises(ConfigError):
            restore(str(saved), config, options, OsDisk(), LmdbBackend)
    assert not (tmp_path / "new").exists()
    assert saved.exists()
