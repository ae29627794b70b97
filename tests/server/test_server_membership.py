"""Members come, learn, vote and go under virtual time: production code, from request to exit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftkv.apply.member_change import MemberAction, MemberStep
from raftkv.errors import (
    ConfigError,
    LearnerNotReady,
    MemberNotFound,
    MemberNotLearner,
    MemberRemoved,
    NotEnoughStartedMembers,
    PeerUrlExists,
    TooManyLearners,
    UnhealthyCluster,
)
from raftkv.server.change_request import ChangeKind, ChangeRequest
from raftkv.server.status import MemberInfo
from raftkv.simulation.cluster import SimulatedCluster
from tests.server.growing_cluster import (
    Changed,
    add,
    ask,
    cluster_of,
    follower_of,
    join,
    leader_of,
    outcome_of,
    remove,
    same_everywhere,
    write,
)


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
    another = ChangeRequest(ChangeKind.ADD_LEARNER, peer_urls=("http://another:2380",))
    assert isinstance(ask(cluster, another), TooManyLearners)


@pytest.mark.parametrize("who", ["leader", "follower"])
def test_a_removed_member_ends_and_stays_away(who: str) -> None:
    """It gives up with MemberRemoved, the rest goes on, and a restart ends at once."""
    cluster = cluster_of(3)
    gone = leader_of(cluster) if who == "leader" else follower_of(cluster)
    me = gone.member_id
    assert isinstance(remove(cluster, me, at=gone), MemberInfo)
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
    cluster.scheduler.run_for(2.0)  # virtual: the leader has noticed
    assert isinstance(remove(cluster, gone.member_id), MemberInfo)
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
    """etcd's cases: too few started, too few that answer, the last member, ids and URLs."""
    cluster = cluster_of(3)
    leader, follower = leader_of(cluster), follower_of(cluster)
    urls = follower.config.initial_advertise_peer_urls
    assert isinstance(ask(cluster, ChangeRequest(ChangeKind.JOIN, peer_urls=urls)), PeerUrlExists)
    assert isinstance(remove(cluster, 12345), MemberNotFound)
    follower.kill()
    cluster.scheduler.run_for(2.0)  # virtual: the leader has noticed
    third = next(m for m in cluster.machines if m not in (leader, follower))
    assert isinstance(remove(cluster, third.member_id), UnhealthyCluster)
    at_once = ChangeRequest(ChangeKind.ADD, peer_urls=("http://x:2380",))
    assert isinstance(ask(cluster, at_once), UnhealthyCluster)
    alone = cluster_of(1)
    only = leader_of(alone)
    assert isinstance(remove(alone, only.member_id), NotEnoughStartedMembers)
    add(alone, alone.add_machine(), at=only)
    another = ChangeRequest(ChangeKind.JOIN, peer_urls=("http://y:2380",))
    assert isinstance(ask(alone, another), NotEnoughStartedMembers)


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


@pytest.mark.parametrize("seed", range(4))
def test_a_newcomer_is_ready_as_soon_as_it_has_a_snapshot(seed: int) -> None:
    """Its own name can be in that already, so that the entry which tells it is never applied: it
    does not wait for that (with seed 1, 7 s)."""
    cluster = cluster_of(3, seed)
    write(cluster, 60)
    machine = cluster.add_machine()
    add(cluster, machine, at=follower_of(cluster))
    assert cluster.let_join(machine, leader_of(cluster).running.member.members())
    published: list[bool] = []
    machine.running.member.published = lambda: published.append(True)
    assert cluster.scheduler.run_until(lambda: bool(published), within_s=2)
