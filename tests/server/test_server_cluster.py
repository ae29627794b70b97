"""Whole members under virtual time: the production server code, from propose to reply."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftkv.api.rpc_pb2 import PutRequest, PutResponse
from raftkv.apply.batch import RequestKind
from raftkv.errors import RaftKVError
from raftkv.mvcc.query import RangeQuery
from raftkv.server.config import Limits
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine, MemberProcess


class Writer:
    """Puts numbered values and remembers which were acknowledged, at which revision."""

    def __init__(self) -> None:
        self.acknowledged: dict[bytes, int] = {}
        self.failed = 0
        self.sent = 0

    def put(self, member: MemberProcess) -> None:
        self.sent += 1
        key = b"key%06d" % self.sent

        def done(outcome: bytes | RaftKVError) -> None:
            if isinstance(outcome, bytes):
                self.acknowledged[key] = PutResponse.FromString(outcome).header.revision
            else:
                self.failed += 1

        request = PutRequest(key=key, value=b"v" * 100).SerializeToString()
        member.member.propose(RequestKind.PUT, request, done)

    @property
    def answered(self) -> int:
        return len(self.acknowledged) + self.failed

    def check(self, cluster: SimulatedCluster) -> None:
        """Every acknowledged write is on every member at the revision that it was told."""
        hashes = {m.member.store.hash_kv(0) for m in cluster.running}
        assert len(hashes) == 1, hashes
        for member in cluster.running:
            for key, revision in self.acknowledged.items():
                kv = member.member.store.get(key)
                assert kv is not None, (key, revision)
                assert kv.mod_revision == revision


@pytest.fixture
def cluster(tmp_path: Path) -> SimulatedCluster:
    return SimulatedCluster(tmp_path, seed=1)


def follower_of(cluster: SimulatedCluster, leader: Machine) -> Machine:
    return next(machine for machine in cluster.machines if machine is not leader)


def read_once(member: MemberProcess, key: bytes, seen: list[int]) -> None:
    """Append how many keys a linearizable read of ``key`` finds."""

    def proceed(error: RaftKVError | None) -> None:
        assert error is None, error
        seen.append(member.member.store.range(RangeQuery(key)).count)

    member.member.linearize(proceed)


def run_until_answered(cluster: SimulatedCluster, writer: Writer, within_s: float = 20.0) -> None:
    done = cluster.scheduler.run_until(lambda: writer.answered == writer.sent, within_s=within_s)
    assert done, (writer.answered, writer.sent)


def test_writes_through_any_member_reach_all(cluster: SimulatedCluster) -> None:
    """Puts at leader and followers get distinct revisions, and all members end up equal."""
    cluster.start_all()
    cluster.wait_for_leader()
    writer = Writer()
    for _ in range(20):
        for member in cluster.running:
            writer.put(member)
    run_until_answered(cluster, writer)
    cluster.settle()
    assert writer.failed == 0
    assert sorted(writer.acknowledged.values()) == list(range(2, 62))
    writer.check(cluster)
    cluster.stop_all()


def test_a_linearizable_read_sees_what_was_acknowledged_elsewhere(
    cluster: SimulatedCluster,
) -> None:
    """A read asked at a follower after a write was acknowledged by the leader includes it."""
    cluster.start_all()
    leader = cluster.wait_for_leader()
    writer = Writer()
    seen: list[int] = []
    for round_ in range(30):
        writer.put(leader.running)
        run_until_answered(cluster, writer)
        read_once(follower_of(cluster, leader).running, b"key%06d" % (round_ + 1), seen)
        assert cluster.scheduler.run_until(lambda: len(seen) == writer.sent, within_s=5)
    assert seen == [1] * 30
    cluster.stop_all()


def test_a_leader_without_a_quorum_answers_no_linearizable_read(
    cluster: SimulatedCluster,
) -> None:
    """A cut-off leader neither commits nor serves reads; both fail by their deadline."""
    cluster.start_all()
    leader = cluster.wait_for_leader()
    old = leader.running
    cluster.network.isolate(old.foundation.member_id)
    writer = Writer()
    writer.put(old)
    outcomes: list[RaftKVError | None] = []
    old.member.linearize(outcomes.append)
    run_until_answered(cluster, writer, within_s=30)
    cluster.scheduler.run_until(lambda: bool(outcomes), within_s=30)
    assert writer.failed == 1
    assert isinstance(outcomes[0], RaftKVError)
    new = cluster.wait_for_leader()
    assert new is not leader
    cluster.network.heal()
    cluster.settle()
    cluster.stop_all()


@pytest.mark.parametrize("seed", range(6))
def test_nothing_acknowledged_is_lost_when_members_are_killed(tmp_path: Path, seed: int) -> None:
    """Members are killed and restarted at random under writes, the leader and all at once too."""
    cluster = SimulatedCluster(tmp_path, seed=seed, snapshot_count=20)
    cluster.start_all()
    writer = Writer()
    for _ in range(25):
        for member in cluster.running:
            for _ in range(cluster.random.randrange(4)):
                writer.put(member)
        cluster.scheduler.run_for(cluster.random.uniform(0.0, 1.5))
        victims = [machine for machine in cluster.machines if machine.process is not None]
        for victim in cluster.random.sample(victims, cluster.random.randrange(len(victims) + 1)):
            victim.kill()
        cluster.scheduler.run_for(cluster.random.uniform(0.0, 1.5))
        cluster.start_all()
    cluster.wait_for_leader()
    cluster.settle()
    assert len(writer.acknowledged) > 30, len(writer.acknowledged)
    writer.check(cluster)
    cluster.stop_all()


def test_a_member_far_behind_catches_up_by_snapshot(tmp_path: Path) -> None:
    """What the log has no more arrives as a snapshot, and the member goes on from there."""
    limits = Limits(catchup_entries=5, backend_commit_interval_s=0.2)
    cluster = SimulatedCluster(tmp_path, seed=3, snapshot_count=10, limits=limits)
    cluster.start_all()
    leader = cluster.wait_for_leader()
    behind = follower_of(cluster, leader)
    behind.kill()
    writer = Writer()
    for _ in range(60):
        writer.put(leader.running)
        run_until_answered(cluster, writer)
        cluster.scheduler.run_for(0.05)
    assert behind.start()
    cluster.settle(within_s=60)
    assert behind.running.member.node.first_index > 30, "the log came entry by entry"
    writer.check(cluster)
    behind.kill()
    assert behind.start()
    cluster.settle()
    writer.check(cluster)
    cluster.stop_all()
