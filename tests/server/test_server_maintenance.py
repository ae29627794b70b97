"""What an operator asks of a member, under virtual time: hashes, leadership."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from raftkv.api.rpc_pb2 import PutRequest
from raftkv.apply.batch import RequestKind
from raftkv.errors import BadLeaderTransferee, Compacted, NotLeader, RaftKVError
from raftkv.mvcc.hash import HashResult
from raftkv.server.config import Limits
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import MemberProcess


@pytest.fixture
def cluster() -> Iterator[SimulatedCluster]:
    cluster = SimulatedCluster(seed=11, limits=Limits(hash_records_per_step=5))
    cluster.start_all()
    cluster.wait_for_leader()
    yield cluster
    cluster.stop_all()


def write(cluster: SimulatedCluster, count: int) -> None:
    member = cluster.running[0].member
    done: list[bytes | RaftKVError] = []
    for number in range(count):
        request = PutRequest(key=b"k%d" % (number % 10), value=b"%d" % number)
        member.propose(RequestKind.PUT, request.SerializeToString(), done.append)
    assert cluster.scheduler.run_until(lambda: len(done) == count, within_s=20)
    assert all(isinstance(outcome, bytes) for outcome in done)
    cluster.settle()


def hash_kv(
    cluster: SimulatedCluster, process: MemberProcess, revision: int = 0
) -> HashResult | RaftKVError:
    done: list[HashResult | RaftKVError] = []
    process.member.maintenance.hash_kv(revision, done.append)
    assert not done, "the whole history was hashed in one turn"
    assert cluster.scheduler.run_until(lambda: bool(done), within_s=60)
    return done[0]


def test_members_hash_alike_in_steps(cluster: SimulatedCluster) -> None:
    """At one revision all members give one hash, that of the walk in one go."""
    write(cluster, 60)
    for revision in (0, 30):
        found = {hash_kv(cluster, process, revision) for process in cluster.running}
        assert found == {cluster.running[0].member.store.hash_kv(revision)}


def test_a_compaction_in_between_begins_anew(cluster: SimulatedCluster) -> None:
    """A hash under way is that of the compacted history, or Compacted where its revision is."""
    write(cluster, 60)
    member = cluster.running[0].member
    done: list[HashResult | RaftKVError] = []
    member.maintenance.hash_kv(0, done.append)
    member.maintenance.hash_kv(20, done.append)
    member.store.compact(40)
    assert cluster.scheduler.run_until(lambda: len(done) == 2, within_s=20)
    assert done[0] == member.store.hash_kv(0)
    assert isinstance(done[0], HashResult)
    assert done[0].compact_revision == 40
    assert isinstance(done[1], Compacted)


def test_leadership_moves_to_whom_it_should(cluster: SimulatedCluster) -> None:
    """Only the leader hands it over, only to a voter; then the target leads."""
    leader = cluster.wait_for_leader().running
    others = [process for process in cluster.running if process is not leader]
    target = others[0].member.member_id
    outcomes: list[RaftKVError | None] = []
    with pytest.raises(NotLeader):
        others[0].member.maintenance.move_leader(target, outcomes.append)
    with pytest.raises(BadLeaderTransferee):
        leader.member.maintenance.move_leader(12345, outcomes.append)
    leader.member.maintenance.move_leader(leader.member.member_id, outcomes.append)
    assert outcomes == [None], "it leads already"
    leader.member.maintenance.move_leader(target, outcomes.append)
    assert cluster.scheduler.run_until(lambda: len(outcomes) == 2, within_s=20)
    assert outcomes[1] is None
    assert cluster.wait_for_leader().running is others[0]
