"""Members compare their hashes, under virtual time: who differs is found out, and only who does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from raftkv.api.rpc_pb2 import AlarmRequest, CompactionRequest, PutRequest
from raftkv.apply.alarm_book import Alarm, AlarmKind
from raftkv.apply.batch import RequestKind
from raftkv.backend.schema import Table
from raftkv.errors import Corrupt, RaftKVError
from raftkv.server.config import Limits
from raftkv.server.corruption import NOBODY_KNOWS, accused
from raftkv.server.operations import HealingSettings, Operations
from raftkv.server.peer_hashes import HashQuestion
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine

EVERY_S = 5.0
OFF = HealingSettings(is_on=False)


@pytest.fixture(params=["newest", "compaction"])
def cluster(request: pytest.FixtureRequest) -> Iterator[SimulatedCluster]:
    """Compares all that is readable, or what is left of the last compaction."""
    operations = (
        Operations(corrupt_check_interval_s=EVERY_S, healing=OFF)
        if request.param == "newest"
        else Operations(compact_hash_check_interval_s=EVERY_S, healing=OFF)
    )
    limits = Limits(hash_records_per_step=5)
    cluster = SimulatedCluster(seed=5, limits=limits, operations=operations)
    cluster.start_all()
    cluster.wait_for_leader()
    yield cluster
    cluster.stop_all()


def propose(cluster: SimulatedCluster, kind: RequestKind, payload: bytes) -> bytes | RaftKVError:
    done: list[bytes | RaftKVError] = []
    leader = cluster.leader()
    assert leader is not None
    leader.running.member.propose(kind, payload, done.append)
    assert cluster.scheduler.run_until(lambda: bool(done), within_s=20)
    return done[0]


def put(cluster: SimulatedCluster, number: int) -> bytes | RaftKVError:
    request = PutRequest(key=b"k%d" % (number % 4), value=b"value %d" % number)
    return propose(cluster, RequestKind.PUT, request.SerializeToString())


def fill(cluster: SimulatedCluster) -> None:
    for number in range(20):
        assert isinstance(put(cluster, number), bytes)
    compact = CompactionRequest(revision=12).SerializeToString()
    assert isinstance(propose(cluster, RequestKind.COMPACT, compact), bytes)
    cluster.settle()


def rot(machine: Machine) -> None:
    """One bit of one value is not what it was, in a version that survives the compaction."""
    backend = machine.running.foundation.backend
    rows = list(backend.cursor(Table.REVISIONS, b""))
    key, value = next(row for row in rows if b"value 10" in row[1])
    backend.put(Table.REVISIONS, key, value.replace(b"value 10", b"value 11"))


def rounds(cluster: SimulatedCluster) -> int:
    return sum(process.member.maintenance.corruption.rounds for process in cluster.running)


def alarms(cluster: SimulatedCluster) -> list[Alarm]:
    return cluster.running[0].member.maintenance.alarms(AlarmKind.CORRUPT)


def test_healthy_members_are_left_in_peace(cluster: SimulatedCluster) -> None:
    """Rounds under writes and compactions find nothing, on every member that leads in turn."""
    fill(cluster)
    for number in range(20, 60):
        put(cluster, number)
        cluster.scheduler.run_for(0.5)
    assert cluster.scheduler.run_until(lambda: rounds(cluster) >= 1, within_s=60)
    assert alarms(cluster) == []


@pytest.mark.parametrize("leads", [False, True])
def test_who_differs_is_accused(cluster: SimulatedCluster, leads: bool) -> None:
    """A rotten value raises CORRUPT for its member, the leader too, and writes are refused until
    somebody lowers the alarm."""
    fill(cluster)
    leader = cluster.leader()
    rotten = next(m for m in cluster.machines if (m is leader) is leads)
    rot(rotten)
    assert cluster.scheduler.run_until(lambda: bool(alarms(cluster)), within_s=60)
    assert alarms(cluster) == [Alarm(rotten.member_id, AlarmKind.CORRUPT)]
    cluster.settle()
    assert isinstance(put(cluster, 99), Corrupt)
    lower = AlarmRequest(
        action=AlarmRequest.DEACTIVATE, memberID=rotten.member_id, alarm=int(AlarmKind.CORRUPT)
    )
    propose(cluster, RequestKind.ALARM, lower.SerializeToString())
    assert isinstance(put(cluster, 99), bytes)


def test_what_cannot_be_read_is_corrupt(cluster: SimulatedCluster) -> None:
    """A record that is cut short accuses its member, whose other work goes on."""
    fill(cluster)
    rotten = next(m for m in cluster.machines if m is not cluster.leader())
    store, backend = rotten.running.member.store, rotten.running.foundation.backend
    assert cluster.scheduler.run_until(lambda: not store.compacting, within_s=20)
    key, value = next(row for row in backend.cursor(Table.REVISIONS, b"") if b"value 10" in row[1])
    backend.put(Table.REVISIONS, key, value[:3])
    assert cluster.scheduler.run_until(lambda: bool(alarms(cluster)), within_s=60)
    assert alarms(cluster) == [Alarm(rotten.member_id, AlarmKind.CORRUPT)]
    assert not rotten.running.member.maintenance._background.hashing.is_waiting


def test_a_member_that_is_away_is_no_liar(cluster: SimulatedCluster) -> None:
    """Two of three that agree finish their round, and nobody is accused."""
    fill(cluster)
    next(m for m in cluster.machines if m is not cluster.leader()).kill()
    before = rounds(cluster)
    assert cluster.scheduler.run_until(lambda: rounds(cluster) > before, within_s=120)
    assert alarms(cluster) == []


@pytest.mark.parametrize(
    ("hashes", "size", "corrupt"),
    [
        ({1: 7, 2: 7, 3: 7}, 3, []),
        ({1: 7}, 3, []),
        ({1: 7, 2: 8, 3: 7}, 3, [2]),
        ({1: 8, 2: 7, 3: 7}, 3, [1]),
        ({1: 7, 2: 8}, 2, [NOBODY_KNOWS]),
        ({1: 7, 2: 8}, 3, [NOBODY_KNOWS]),
        ({1: 7, 2: 8, 3: 9}, 3, [NOBODY_KNOWS]),
        ({1: 7, 2: 7, 3: 8, 4: 8}, 4, [NOBODY_KNOWS]),
        ({1: 7, 2: 7, 3: 7, 4: 8, 5: 9}, 5, [4, 5]),
    ],
)
def test_a_majority_of_all_members_is_right(
    hashes: dict[int, int], size: int, corrupt: list[int]
) -> None:
    """Not of those that answered: the rest may hold with the others."""
    assert accused(hashes, size) == corrupt


def test_hashes_compare_however_far_each_has_compacted(cluster: SimulatedCluster) -> None:
    """A store that was compacted and one that was not hash alike at the later compaction."""
    for number in range(20):
        put(cluster, number)
    cluster.settle()
    store = cluster.running[0].member.store
    revisions = (5, 9, 12)
    asked = {}
    for revision in revisions:
        run = store.begin_hash(20, revision)
        while not run.step(3):
            pass
        asked[revision] = run.result
    for earlier, later in pairwise((0, *revisions)):
        assert earlier < later
        payload = CompactionRequest(revision=later).SerializeToString()
        propose(cluster, RequestKind.COMPACT, payload)
        cluster.settle()
        assert store.hash_kv(20) == asked[later]


def test_one_hash_for_peers_at_a_time(cluster: SimulatedCluster) -> None:
    """Questions while one is in work cost nothing; the asker asks again and gets its own."""
    fill(cluster)
    process = cluster.running[1]
    desk = process.member.maintenance.corruption.peer_hashes
    hashing = process.member.maintenance._background.hashing
    for revision in range(13, 18):
        assert desk.look(HashQuestion(revision, 12)) is None
    assert len(hashing._jobs) == 1
    while hashing.is_waiting:
        hashing.step(100)
    made = desk.look(HashQuestion(13, 12))
    assert made == process.member.store.hash_kv(13)
