"""Observers: learners that serve. They read nothing stale, and nothing waits for them."""

from __future__ import annotations

import pytest

from raftkv.api.rpc_pb2 import PutRequest, RangeResponse
from raftkv.apply.batch import RequestKind
from raftkv.errors import RaftKVError
from raftkv.mvcc.store import RangeQuery
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine
from tests.server.growing_cluster import cluster_of, join, leader_of, same_everywhere, voters_of

BUSY_S = 5.0


def observed(voters: int) -> tuple[SimulatedCluster, Machine]:
    """A cluster, and an observer that has caught up."""
    cluster = cluster_of(voters)
    cluster.reconfigure(observer=True)
    observer = join(cluster, is_learner=True)
    member = observer.running.member
    assert cluster.scheduler.run_until(lambda: member.is_observer, within_s=20)
    return cluster, observer


def put(cluster: SimulatedCluster, at: Machine, value: bytes) -> None:
    answers: list[object] = []
    request = PutRequest(key=b"k", value=value).SerializeToString()
    at.running.member.propose(RequestKind.PUT, request, answers.append)
    assert cluster.scheduler.run_until(lambda: bool(answers), within_s=20)
    assert not isinstance(answers[0], RaftKVError), answers


def read(cluster: SimulatedCluster, at: Machine) -> bytes:
    """Linearizable."""
    member = at.running.member
    outcomes: list[object] = []
    member.linearize(outcomes.append)
    assert cluster.scheduler.run_until(lambda: bool(outcomes), within_s=20)
    assert outcomes == [None]
    found = member.store.range(RangeQuery(b"k"))
    (row,) = RangeResponse.FromString(b"".join(found.pieces)).kvs
    return row.value


@pytest.mark.parametrize("voters", [1, 3])
def test_an_observer_serves_what_was_acknowledged(voters: int) -> None:
    """Elsewhere, and through itself; it stays without a vote."""
    cluster, observer = observed(voters)
    for number in range(20):
        writer = observer if number % 2 else leader_of(cluster)
        put(cluster, writer, b"%d" % number)
        assert read(cluster, observer) == b"%d" % number
    assert not observer.running.member.serves_as_learner
    assert observer.running.member.is_observer
    assert observer.member_id not in voters_of(cluster)
    same_everywhere(cluster)


def test_a_learner_that_is_no_observer_serves_as_one() -> None:
    """etcd's learners, and ours without the flag."""
    cluster = cluster_of(1)
    learner = join(cluster, is_learner=True).running.member
    assert learner.serves_as_learner
    assert not learner.is_observer


def test_an_observer_beside_a_leader_of_the_past_answers_nothing_stale() -> None:
    """Cut off with it, a read waits: nobody there can say that nothing was written elsewhere."""
    cluster, observer = observed(3)
    put(cluster, observer, b"old")
    old = leader_of(cluster)
    here = {old.member_id, observer.member_id}
    there = {machine.member_id for machine in cluster.machines} - here
    cluster.network.cut |= {(a, b) for a in here for b in there}
    cluster.network.cut |= {(b, a) for a in here for b in there}

    def other_leads() -> bool:
        found = cluster.leader()
        return found is not None and found.member_id in there

    assert cluster.scheduler.run_until(other_leads, within_s=20)
    put(cluster, leader_of(cluster), b"new")
    outcomes: list[object] = []
    observer.running.member.linearize(outcomes.append)
    cluster.scheduler.run_for(BUSY_S)
    assert None not in outcomes, outcomes
    cluster.network.cut.clear()
    assert read(cluster, observer) == b"new"


def test_nothing_waits_for_an_observer_and_it_makes_no_quorum() -> None:
    """It stands still: writes go on. Two of three voters do: they do not."""
    cluster, observer = observed(3)
    observer.pause()
    put(cluster, leader_of(cluster), b"without")
    observer.resume()
    assert read(cluster, observer) == b"without"
    leader = leader_of(cluster)
    others = [m for m in cluster.machines if m not in (leader, observer)]
    for machine in others:
        machine.kill()
    answers: list[object] = []
    request = PutRequest(key=b"k", value=b"alone").SerializeToString()
    leader.running.member.propose(RequestKind.PUT, request, answers.append)
    cluster.scheduler.run_for(BUSY_S)
    assert all(isinstance(answer, RaftKVError) for answer in answers), answers
    for machine in others:
        machine.start()
    cluster.settle()
    put(cluster, observer, b"together")
    assert read(cluster, observer) == b"together"
