"""Members give room back by themselves: when it is worth while, one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftkv.api.rpc_pb2 import DeleteRangeRequest, PutRequest
from raftkv.apply.batch import RequestKind
from raftkv.errors import RaftKVError
from raftkv.server.auto_defragment import PATIENCE_S, RETRY_S, AutoDefragmenter
from raftkv.server.config import Limits
from raftkv.server.operations import Operations
from raftkv.simulation.cluster import SimulatedCluster

MiB = 1 << 20
LIMITS = Limits(defrag_bytes_min=1 * MiB, defrag_turn_entries=10, wal_segment_bytes=1 * MiB)


def filled_and_emptied(
    directory: Path, operations: Operations, *, size: int = 3
) -> SimulatedCluster:
    """Members on real files, each of some 4 MiB, nearly all of it free."""
    cluster = SimulatedCluster(
        directory,
        size=size,
        seed=720_002,
        limits=LIMITS,
        heartbeat_interval_ms=1000,
        election_timeout_ms=5000,
        operations=operations,
    )
    cluster.start_all()
    cluster.wait_for_leader()
    outcomes: list[bytes | RaftKVError] = []
    member = cluster.running[0].member
    for number in range(400):
        request = PutRequest(key=b"k%05d" % number, value=b"v" * 4_000)
        member.propose(RequestKind.PUT, request.SerializeToString(), outcomes.append)
    everything = DeleteRangeRequest(key=b"\0", range_end=b"\0").SerializeToString()
    member.propose(RequestKind.DELETE_RANGE, everything, outcomes.append)
    assert cluster.scheduler.run_until(lambda: len(outcomes) == 401, within_s=60)
    cluster.settle()
    for process in cluster.running:
        process.member.store.compact(process.member.store.current_revision)
    cluster.scheduler.run_for(20)
    assert min(sizes(cluster)) > 3 * MiB
    return cluster


def sizes(cluster: SimulatedCluster) -> list[int]:
    return [process.member.status().db_size for process in cluster.running]


def tick(cluster: SimulatedCluster) -> None:
    """An entry a second."""
    payload = PutRequest(key=b"tick", value=b"v").SerializeToString()
    cluster.running[0].member.propose(RequestKind.PUT, payload, lambda outcome: None)
    cluster.scheduler.run_for(1)


def test_each_member_in_its_turn(tmp_path: Path) -> None:
    """All files shrink within three turns, no two copies are made at once, and the store is as it
    was."""
    cluster = filled_and_emptied(tmp_path, Operations())
    copying: set[int] = set()
    cluster.entered = lambda machine, callback: copying.add(
        sum(process.foundation.backend.is_tracking for process in cluster.running)
    )
    revision = cluster.running[0].member.store.current_revision
    before = [process.member.store.hash_kv(revision).hash for process in cluster.running]
    for _ in range(int(PATIENCE_S) + 4 * LIMITS.defrag_turn_entries):
        tick(cluster)
        if max(sizes(cluster)) < MiB:
            break
    assert max(sizes(cluster)) < MiB, sizes(cluster)
    assert copying == {0, 1}
    assert [p.member.store.hash_kv(revision).hash for p in cluster.running] == before
    cluster.stop_all()


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    """--auto-defrag=false: the file stays as large as it was."""
    cluster = filled_and_emptied(tmp_path, Operations(auto_defrag=False), size=1)
    cluster.scheduler.run_for(2 * PATIENCE_S)
    assert min(sizes(cluster)) > 3 * MiB
    cluster.stop_all()


class Looks:
    """One member's, with a disk of 100 MiB free and an index of its turn."""

    def __init__(self, disk_free: int = 100 * MiB) -> None:
        self.runs, self.index = 0, 10
        self.subject = AutoDefragmenter(
            me=2,
            members=lambda: [3, 1, 2],
            applied_index=lambda: self.index,
            disk_free=lambda: disk_free,
            run=self._run,
            bytes_min=10 * MiB,
            turn_entries=10,
        )

    def _run(self) -> None:
        self.runs += 1

    def at(self, now: float, size: int = 20 * MiB, in_use: int = 5 * MiB) -> int:
        self.subject.look(now, size, in_use)
        return self.runs


def test_a_file_that_fills_up_again_is_left_alone() -> None:
    """Patience begins anew whenever less than half is free; small files are not worth it."""
    looks = Looks()
    assert looks.at(0.0) == 0
    assert looks.at(PATIENCE_S - 1, in_use=15 * MiB) == 0
    assert looks.at(PATIENCE_S + 1) == 0
    assert looks.at(3 * PATIENCE_S, size=9 * MiB) == 0
    assert looks.at(4 * PATIENCE_S) == 0
    assert looks.at(5 * PATIENCE_S) == 1
    assert looks.at(6 * PATIENCE_S) == 1, "tried a minute ago"
    assert looks.at(5 * PATIENCE_S + RETRY_S) == 2


def test_others_have_their_turns() -> None:
    """By the log's position: entries 10 to 19 are the second member's."""
    looks = Looks()
    looks.at(0.0)
    for index, runs in ((9, 0), (20, 0), (39, 0), (40, 1)):
        looks.index = index
        assert looks.at(PATIENCE_S) == runs, index


def test_a_disk_without_room_is_not_filled(caplog: pytest.LogCaptureFixture) -> None:
    """The copy would take what the log needs: told, and left."""
    looks = Looks(disk_free=9 * MiB)
    looks.at(0.0)
    assert looks.at(PATIENCE_S) == 0
    assert "no room for the copy" in caplog.text
