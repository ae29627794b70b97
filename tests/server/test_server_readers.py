"""What keeps freed pages from being used again: read transactions, and how long they live."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftkv.api.rpc_pb2 import PutRequest
from raftkv.apply.batch import RequestKind
from raftkv.backend.environment import LmdbBackend
from raftkv.backend.schema import Table
from raftkv.errors import RaftKVError
from raftkv.mvcc.hash import HashResult
from raftkv.mvcc.query import RangeQuery
from raftkv.server.backup import Backup
from raftkv.server.config import Limits
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine

NO_READERS = "(no active readers)"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[SimulatedCluster]:
    limits = Limits(hash_records_per_step=5, compaction_records_per_step=5)
    cluster = SimulatedCluster(tmp_path, size=1, seed=7, limits=limits, snapshot_count=50)
    cluster.start_all()
    cluster.wait_for_leader()
    yield cluster
    cluster.stop_all()


def readers(backend: LmdbBackend) -> str:
    return str(backend._raw._env.readers()).strip()


def test_nothing_holds_a_read_transaction_between_two_turns(cluster: SimulatedCluster) -> None:
    """Lists in steps and in pages, hashes, compaction, a backup that is being read, a watcher that
    catches up: after each callback of the member LMDB knows of no reader."""
    process = cluster.running[0]
    backend = process.foundation.backend
    assert isinstance(backend, LmdbBackend)
    seen: set[str] = set()
    cluster.entered = lambda machine, callback: _note(machine, seen)
    outcomes: list[bytes | RaftKVError] = []
    for number in range(120):
        request = PutRequest(key=b"k%d" % (number % 30), value=b"v" * 500)
        process.member.propose(RequestKind.PUT, request.SerializeToString(), outcomes.append)
    store, done = process.member.store, list[object]()
    assert cluster.scheduler.run_until(lambda: len(outcomes) == 120, within_s=20)
    cursor = store.open_cursor(RangeQuery(b"\0", b"\0"))
    cursor.page(3, 1 << 20)
    past = store.begin_range(RangeQuery(b"\0", b"\0", revision=60))
    assert past is not None
    process.member.maintenance.hash_kv(0, lambda result: _hashed(result, done))
    opened: list[Backup | RaftKVError] = []
    process.member.maintenance.open_backup(opened.append)
    store.compact(50)
    process.member.when_compacted(lambda: done.append("compacted"))
    assert cluster.scheduler.run_until(lambda: len(done) == 2 and bool(opened), within_s=60)
    cursor.page(3, 1 << 20)
    assert seen == {NO_READERS}
    assert isinstance(opened[0], Backup)
    opened[0].close()
    cluster.scheduler.run_for(1)


def _note(machine: Machine, seen: set[str]) -> None:
    process = machine.process
    if process is not None and isinstance(process.foundation.backend, LmdbBackend):
        seen.add(readers(process.foundation.backend))


def _hashed(result: HashResult | RaftKVError, done: list[object]) -> None:
    assert isinstance(result, HashResult)
    done.append(result)


@pytest.mark.parametrize(("took_s", "lines"), [(0.9, 0), (12.0, 1)])
def test_a_long_copy_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, took_s: float, lines: int
) -> None:
    """The copy is the one read transaction that may live long: beyond a second it is logged."""
    times = iter((100.0, 100.0 + took_s))
    backend = LmdbBackend(str(tmp_path / "db"), clock=lambda: next(times))
    caplog.set_level("INFO", "raftkv.backend")
    backend.copy_to(str(tmp_path / "copy"))
    assert [record.getMessage() for record in caplog.records] == [
        "copied the database: freed pages were kept meanwhile"
    ] * lines
    assert readers(backend) == NO_READERS
    backend.close()


def test_the_old_file_is_removed_beside(tmp_path: Path) -> None:
    """Freeing a large file's blocks takes long: whoever swaps it for a copy does not wait."""
    path = tmp_path / "db"
    backend = LmdbBackend(str(path))
    backend.put(Table.META, b"k", b"v")
    backend.commit()
    may_remove = threading.Event()
    backend._raw._remover.submit(may_remove.wait)
    backend.copy_to(str(tmp_path / "copy"))
    backend.replace(str(tmp_path / "copy"))
    assert backend.get(Table.META, b"k") == b"v"
    assert _held(path)
    may_remove.set()
    backend.close()
    assert not _held(path)


def _held(path: Path) -> bool:
    """Whether this process keeps a removed file of that name."""
    own = Path("/proc/self/fd")
    names = [os.readlink(own / entry.name) for entry in own.iterdir() if entry.is_symlink()]
    return f"{path} (deleted)" in names
