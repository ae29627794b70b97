"""Members come, learn, vote and go under virtual time: production code, from request to exit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from raftkv.api.rpc_pb2 import PutRequest
from raftkv.apply.batch import RequestKind
from raftkv.apply.member_change import MemberAction, MemberStep
from raftkv.errors import (
    ConfigError,
    LearnerNotReady,
    MemberNotFound,
    MemberNotLearner,
    MemberRemoved,
    NotEnoughStartedMembers,
    PeerUrlExists,
    RaftKVError,
    TooManyLearners,
    UnhealthyCluster,
)
from raftkv.server.config import Limits
from raftkv.server.status import MemberInfo
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine

Changed = Callable[[object], None]
LIMITS = Limits(catchup_entries=5, backend_commit_interval_s=0.2)


def cluster_of(size: int, seed: int = 1) -> SimulatedCluster:
    cluster = SimulatedCluster(size=size, seed=seed, snapshot_count=10, limits=LIMITS)
    cluster.start_all()
    cluster.wait_for_leader()
    members = cluster.running[0].member.members
    assert cluster.scheduler.run_until(
        lambda: all(row.has_started for row in members()), within_s=20
    )
    return cluster


def outcome_of(
    cluster: SimulatedCluster, ask: Callable[[Callable[[object], None]], None]
) -> object:
    """What became of a change; a refusal at once is raised."""
    got: list[object] = []
    ask(got.append)
    assert cluster.scheduler.run_until(lambda: bool(got), within_s=20)
    return got[0]


def add(
    cluster: SimulatedCluster, machine: Machine, *, at: Machine, is_learner: bool = False
) -> MemberInfo:
    urls = machine.config.initial_advertise_peer_urls
    row = outcome_of(
        cluster,
        lambda done: at.running.member.add_member(urls, is_learner=is_learner, done=done),
    )
    assert isinstance(row, MemberInfo), row
    return row


def leader_of(cluster: SimulatedCluster) -> Machine:
    return cluster.wait_for_leader()


def follower_of(cluster: SimulatedCluster) -> Machine:
    leader = leader_of(cluster)
    return next(m for m in cluster.machines if m is not leader and m.process is not None)


def join(cluster: SimulatedCluster, *, is_learner: bool = False) -> Machine:
    """A new machine, added through a follower where there is one, and started."""
    at = follower_of(cluster) if len(cluster.running) > 1 else leader_of(cluster)
    machine = cluster.add_machine()
    add(cluster, machine, at=at, is_learner=is_learner)
    members = leader_of(cluster).running.member.members()
    assert cluster.let_join(machine, members), machine.failure

    def started() -> bool:
        return any(
            row.id == machine.member_id and row.has_started
            for row in leader_of(cluster).running.member.members()
        )

    assert cluster.scheduler.run_until(started, within_s=20)
    return machine


def write(cluster: SimulatedCluster, count: int) -> None:
    """So many acknowledged puts through the leader."""
    member = leader_of(cluster).running.member
    answers: list[object] = []
    for number in range(count):
        put = PutRequest(key=b"k%d" % number, value=b"v").SerializeToString()
        member.propose(RequestKind.PUT, put, answers.append)
        assert cluster.scheduler.run_until(lambda n=number: len(answers) > n, within_s=20)
    assert not any(isinstance(answer, RaftKVError) for answer in answers), answers


def same_everywhere(cluster: SimulatedCluster) -> None:
    cluster.settle(within_s=60)
    assert len({m.member.store.hash_kv(0) for m in cluster.running}) == 1
    assert len({tuple(m.member.members()) for m in cluster.running}) == 1


def test_a_cluster_grows_from_one_to_three_to_five() -> None:
    """Each newcomer starts empty, gets a snapshot, and votes; requests go through followers."""
    cluster = cluster_of(1)
    for size in range(2, 6):
        write(cluster, 20)
        machine = join(cluster)
        cluster.settle()
        assert machine.running.member.node.first_index > 1, "it came entry by entry"
        voters = leader_of(cluster).running.member.node.status().conf_state.voters
        assert len(voters) == size
    same_everywhere(cluster)
    for machine in list(cluster.machines)[:2]:  # of five, any three go on
        machine.kill()
    cluster.wait_for_leader()
    write(cluster, 3)


def test_a_learner_does_not_vote_until_it_is_promoted() -> None:
    """It is no part of a quorum; promoted through a follower, it is one."""
    cluster = cluster_of(2)
    learner = join(cluster, is_learner=True)
    cluster.settle()
    assert learner.running.member.is_learner
    other = follower_of(cluster)
    if other is learner:
        other = next(m for m in cluster.machines if m not in (learner, leader_of(cluster)))

    def promote(done: Changed) -> None:
        other.running.member.promote_member(learner.member_id, done)

    cluster.settle()
    cluster.scheduler.run_for(1.0)  # virtual: its acknowledgements reach the leader
    assert outcome_of(cluster, promote) is None
    cluster.settle()
    assert not learner.running.member.is_learner
    assert learner.member_id in learner.running.member.node.status().conf_state.voters
    with pytest.raises(MemberNotLearner):
        leader_of(cluster).running.member.promote_member(learner.member_id, lambda error: None)


def test_a_learner_that_is_behind_is_not_promoted() -> None:
    """Nor counted: writes go on without it."""
    cluster = cluster_of(1)
    machine = cluster.add_machine()
    leader = leader_of(cluster)
    row = add(cluster, machine, at=leader, is_learner=True)
    write(cluster, 20)
    with pytest.raises(LearnerNotReady):
        leader.running.member.promote_member(row.id, lambda error: None)
    with pytest.raises(TooManyLearners):
        add(cluster, cluster.add_machine(), at=leader, is_learner=True)


@pytest.mark.parametrize("who", ["leader", "follower"])
def test_a_removed_member_ends_and_stays_away(who: str) -> None:
    """It gives up with MemberRemoved, the rest goes on, and a restart ends at once."""
    cluster = cluster_of(3)
    gone = leader_of(cluster) if who == "leader" else follower_of(cluster)
    me = gone.member_id
    done = outcome_of(cluster, lambda done: gone.running.member.remove_member(me, done))
    assert done is None
    assert cluster.scheduler.run_until(lambda: gone.process is None, within_s=20)
    assert isinstance(gone.failure, MemberRemoved)
    write(cluster, 3)
    assert me not in {row.id for row in leader_of(cluster).running.member.members()}
    gone.failure = None
    gone.start()
    assert cluster.scheduler.run_until(lambda: gone.process is None, within_s=20)
    assert isinstance(gone.failure, MemberRemoved)


def test_a_member_that_was_away_when_it_was_removed_is_told() -> None:
    """Its own log knows nothing of it: the others refuse to hear it, and say why."""
    cluster = cluster_of(3)
    gone = follower_of(cluster)
    gone.kill()
    leader = leader_of(cluster)

    def remove(done: Changed) -> None:
        leader.running.member.remove_member(gone.member_id, done)

    assert outcome_of(cluster, remove) is None
    assert gone.start()
    assert cluster.scheduler.run_until(lambda: gone.process is None, within_s=20)
    assert isinstance(gone.failure, MemberRemoved)


def test_a_lost_member_is_replaced_at_its_place_in_one_joint_change() -> None:
    """Out with the old id, in with a new one at the same URL; the empty disk is filled."""
    cluster = cluster_of(3)
    write(cluster, 20)
    lost = follower_of(cluster)
    old = lost.member_id
    lost.kill()
    lost.wipe()
    leader = leader_of(cluster)
    steps = [
        MemberStep(MemberAction.REMOVE, old),
        MemberStep(MemberAction.ADD, 77, lost.config.initial_advertise_peer_urls),
    ]

    def change(done: Changed) -> None:
        leader.running.member.change_members(steps, done)

    assert outcome_of(cluster, change) is None
    assert cluster.let_join(lost, leader_of(cluster).running.member.members()), lost.failure
    assert lost.member_id == 77

    def joined() -> bool:
        return not leader.running.member.node.status().conf_state.voters_outgoing

    assert cluster.scheduler.run_until(joined, within_s=20)
    write(cluster, 5)
    same_everywhere(cluster)


@pytest.mark.parametrize("state", ["new", "existing"])
def test_a_wiped_member_is_refused_under_its_old_identity(state: str) -> None:
    """It might vote twice: the others know it, and the error says what to do."""
    cluster = cluster_of(3)
    lost = follower_of(cluster)
    lost.kill()
    lost.wipe()
    lost.config = replace(lost.config, initial_cluster_state=state)
    assert not lost.start()
    assert isinstance(lost.failure, ConfigError)
    assert "member remove" in str(lost.failure)


def test_a_wiped_member_waits_while_those_who_could_know_it_are_away() -> None:
    """One of two others answers and does not know: the third may, so there is no start yet."""
    cluster = SimulatedCluster(size=3, seed=5)
    first, second, late = cluster.machines
    assert first.start()
    assert second.start()
    cluster.wait_for_leader()
    second.kill()
    assert not late.start()
    assert "could know" in str(late.failure)
    assert second.start()
    assert late.start(), "it was never there before, and all say so"


def test_what_strict_reconfiguration_refuses() -> None:
    """etcd's cases: too few started, too few connected, the last member, ids and URLs."""
    cluster = cluster_of(3)
    leader, follower = leader_of(cluster), follower_of(cluster)
    member = leader.running.member

    def ignore(outcome: object) -> None:
        pass

    urls = follower.config.initial_advertise_peer_urls
    with pytest.raises(PeerUrlExists):
        member.add_member(urls, is_learner=False, done=ignore)
    with pytest.raises(MemberNotFound):
        member.remove_member(12345, ignore)
    follower.kill()
    with pytest.raises(UnhealthyCluster):
        member.add_member(("http://x:2380",), is_learner=True, done=ignore)
    third = next(m for m in cluster.machines if m not in (leader, follower))
    with pytest.raises(UnhealthyCluster):
        member.remove_member(third.member_id, ignore)
    alone = cluster_of(1)
    only = leader_of(alone)
    with pytest.raises(NotEnoughStartedMembers):
        only.running.member.remove_member(only.member_id, ignore)
    add(alone, alone.add_machine(), at=only)
    with pytest.raises(NotEnoughStartedMembers):
        only.running.member.add_member(("http://y:2380",), is_learner=False, done=ignore)


def test_force_new_cluster_goes_on_alone() -> None:
    """With what its log has, and without the others, which stay out for ever."""
    cluster = cluster_of(3)
    write(cluster, 5)
    survivor = leader_of(cluster)
    revision = survivor.running.member.store.current_revision
    cluster.stop_all()
    survivor.config = replace(survivor.config, force_new_cluster=True)
    assert survivor.start()
    cluster.wait_for_leader()
    write(cluster, 2)
    assert survivor.running.member.store.current_revision == revision + 2
    survivor.kill()
    survivor.config = replace(survivor.config, force_new_cluster=False)
    assert survivor.start()
    cluster.wait_for_leader()
    assert [row.id for row in survivor.running.member.members()] == [survivor.member_id]
    other = next(m for m in cluster.machines if m is not survivor)
    assert other.start()
    assert cluster.scheduler.run_until(lambda: other.process is None, within_s=20)
    assert isinstance(other.failure, MemberRemoved)


def test_joining_needs_the_list_that_the_cluster_has() -> None:
    """A missing member, a wrong URL, and nobody to ask are refused in etcd's words."""
    cluster = cluster_of(3)
    machine = cluster.add_machine()
    rows = leader_of(cluster).running.member.members()
    stranger = MemberInfo(9, "", machine.config.initial_advertise_peer_urls, ())
    assert not cluster.let_join(machine, [*rows, stranger])
    assert "member count is unequal" in str(machine.failure)
    assert not cluster.let_join(machine, [*rows[:2], stranger])
    assert "unmatched member while checking PeerURLs" in str(machine.failure)
    cluster.stop_all()
    assert not cluster.let_join(machine, [*rows, stranger])
    assert "cannot fetch cluster info from peer urls" in str(machine.failure)
