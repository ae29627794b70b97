"""Classic mistakes with members: none of them costs the quorum. docs/membership.md lists them.

Each scenario makes a mistake on a cluster and asserts the refusal, or what came of it; then the
cluster has to take writes, and still has to when the mistake is undone, where it can be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from raftkv.errors import (
    BadLeaderTransferee,
    ChangePending,
    ConfigError,
    LearnerNotReady,
    MemberNotFound,
    MemberRemoved,
    NotEnoughStartedMembers,
    PeerUrlExists,
    PeerUrlRefused,
    RaftKVError,
    UnhealthyCluster,
)
from raftkv.peer.finding import Finding
from raftkv.server.change_request import ChangeKind, ChangeRequest
from raftkv.server.introduction import ClusterView
from raftkv.server.status import MemberInfo
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine
from tests.server.growing_cluster import (
    add,
    ask,
    cluster_of,
    follower_of,
    join,
    leader_of,
    look,
    outcome_of,
    remove,
    start_added,
    urls_of,
    voters_of,
    wait_for_vote,
    write,
)
from tests.tidy.source_text import ROOT

Scenario = Callable[[], SimulatedCluster]
SCENARIOS: list[Scenario] = []
NOWHERE = ("http://nowhere:2380",)
NOTICED_S = 2.0
"""Virtual: after it the leader knows who does not answer."""


def mistake(scenario: Scenario) -> Scenario:
    SCENARIOS.append(scenario)
    return scenario


def added(cluster: SimulatedCluster, urls: tuple[str, ...]) -> object:
    """The outcome of a plain `member add`."""
    return ask(cluster, ChangeRequest(ChangeKind.JOIN, peer_urls=urls))


def updated(cluster: SimulatedCluster, machine: Machine, urls: tuple[str, ...]) -> object:
    return ask(cluster, ChangeRequest(ChangeKind.UPDATE, machine.member_id, urls))


def withdrawn(cluster: SimulatedCluster, row: object) -> None:
    assert isinstance(row, MemberInfo), row
    assert isinstance(remove(cluster, row.id), MemberInfo)
    assert row.id not in {one.id for one in leader_of(cluster).running.member.members()}


def down(cluster: SimulatedCluster, count: int = 1) -> None:
    """So many followers lose their power, and the leader has noticed."""
    for _ in range(count):
        follower_of(cluster).kill()
    cluster.scheduler.run_for(NOTICED_S)


def promoted(cluster: SimulatedCluster, member_id: int) -> object:
    leader = leader_of(cluster).running.member
    try:
        return outcome_of(cluster, lambda done: leader.promote_member(member_id, done))
    except RaftKVError as refusal:
        return refusal


# --- adding ---------------------------------------------------------------------------------------


@mistake
def a_wrong_url_on_a_cluster_of_one() -> SimulatedCluster:
    cluster = cluster_of(1)
    row = added(cluster, NOWHERE)
    cluster.scheduler.run_for(10.0)
    write(cluster, 3)
    withdrawn(cluster, row)
    return cluster


@mistake
def a_typo_in_the_port_and_then_a_member_dies() -> SimulatedCluster:
    cluster = cluster_of(3)
    row = added(cluster, ("http://m3:23800",))
    down(cluster)
    write(cluster, 3)
    withdrawn(cluster, row)
    return cluster


@mistake
def two_added_before_the_first_is_started() -> SimulatedCluster:
    cluster = cluster_of(1)
    first = cluster.add_machine()
    add(cluster, first, at=leader_of(cluster))
    assert isinstance(added(cluster, NOWHERE), NotEnoughStartedMembers)
    start_added(cluster, first)
    wait_for_vote(cluster, first)
    withdrawn(cluster, added(cluster, NOWHERE))
    return cluster


@mistake
def a_url_that_a_member_has() -> SimulatedCluster:
    cluster = cluster_of(3)
    assert isinstance(added(cluster, urls_of(follower_of(cluster))), PeerUrlExists)
    return cluster


@mistake
def a_member_under_another_name_of_its_host() -> SimulatedCluster:
    cluster = cluster_of(3)
    view = follower_of(cluster).running.member.introduce()
    cluster.answer_as("http://alias:2380", view)
    refusal = added(cluster, ("http://alias:2380",))
    assert isinstance(refusal, PeerUrlRefused)
    assert "of this cluster answers at http://alias:2380 already" in str(refusal)
    return cluster


@mistake
def the_client_url_instead_of_the_peer_url() -> SimulatedCluster:
    cluster = cluster_of(1)
    cluster.strangers["http://m1:2379"] = Finding(404)
    refusal = added(cluster, ("http://m1:2379",))
    assert isinstance(refusal, PeerUrlRefused)
    assert "http://m1:2379" in str(refusal)
    assert "404; is it a client URL?" in str(refusal)
    return cluster


@mistake
def http_instead_of_https() -> SimulatedCluster:
    cluster = cluster_of(1)
    cluster.strangers["http://m1:2380"] = Finding(strange="it speaks TLS")
    refusal = added(cluster, ("http://m1:2380",))
    assert isinstance(refusal, PeerUrlRefused)
    assert "it speaks TLS" in str(refusal)
    return cluster


@mistake
def a_member_of_another_cluster_answers() -> SimulatedCluster:
    cluster = cluster_of(3)
    cluster.answer_as("http://m9:2380", ClusterView(0xABC, has_begun=True))
    refusal = added(cluster, ("http://m9:2380",))
    assert isinstance(refusal, PeerUrlRefused)
    assert "a member of another cluster, abc, answers at http://m9:2380" in str(refusal)
    return cluster


@mistake
def a_voter_added_while_one_is_down() -> SimulatedCluster:
    """etcd refused it for years; here it is how a lost one is made up for."""
    cluster = cluster_of(3)
    down(cluster)
    new = join(cluster)
    assert new.member_id in voters_of(cluster)
    return cluster


@mistake
def started_as_a_new_cluster() -> SimulatedCluster:
    cluster = cluster_of(3)
    new = cluster.add_machine()
    row = add(cluster, new, at=leader_of(cluster))
    everybody = {m.name: urls_of(m) for m in cluster.machines}
    new.config = replace(new.config, initial_cluster=everybody, initial_cluster_state="new")
    assert not new.start()
    assert isinstance(new.failure, ConfigError)
    assert "--initial-cluster-state=existing" in str(new.failure)
    withdrawn(cluster, row)
    return cluster


@mistake
def started_with_a_wrong_token() -> SimulatedCluster:
    """Of a running cluster's members nobody asks for it; a new cluster is another one then."""
    cluster = cluster_of(3)
    new = cluster.add_machine()
    add(cluster, new, at=leader_of(cluster))
    new.config = replace(new.config, initial_cluster_token="another")
    start_added(cluster, new)
    wait_for_vote(cluster, new)
    return cluster


@mistake
def started_with_a_list_that_is_not_the_clusters() -> SimulatedCluster:
    cluster = cluster_of(3)
    new = cluster.add_machine()
    row = add(cluster, new, at=leader_of(cluster))
    rows = leader_of(cluster).running.member.members()
    assert not cluster.let_join(new, rows[1:])
    assert isinstance(new.failure, ConfigError)
    withdrawn(cluster, row)
    return cluster


@mistake
def started_under_a_name_that_is_taken() -> SimulatedCluster:
    """In --initial-cluster both are one member with two URLs."""
    cluster = cluster_of(3)
    new = cluster.add_machine()
    row = add(cluster, new, at=leader_of(cluster))
    same = {m.name: urls_of(m) for m in cluster.machines if m is not new}
    same["m0"] = (*same["m0"], *urls_of(new))
    new.config = replace(new.config, name="m0", initial_cluster=same)
    new.config = replace(new.config, initial_cluster_state="existing")
    assert not new.start()
    assert "error validating peerURLs" in str(new.failure)
    withdrawn(cluster, row)
    return cluster


# --- promoting ------------------------------------------------------------------------------------


@mistake
def promoted_too_early() -> SimulatedCluster:
    cluster = cluster_of(1)
    row = add(cluster, cluster.add_machine(), at=leader_of(cluster), is_learner=True)
    write(cluster, 20)
    assert isinstance(promoted(cluster, row.id), LearnerNotReady)
    return cluster


@mistake
def the_wrong_learner_promoted() -> SimulatedCluster:
    """One that was never started, beside one that has caught up."""
    cluster = cluster_of(3)
    good = join(cluster, is_learner=True)
    wrong = added(cluster, NOWHERE)
    assert isinstance(wrong, MemberInfo)
    assert isinstance(promoted(cluster, wrong.id), LearnerNotReady)
    cluster.scheduler.run_for(1.0)
    assert promoted(cluster, good.member_id) is None
    return cluster


@mistake
def a_learner_promoted_that_has_died() -> SimulatedCluster:
    """etcd looks at its log alone, and a cluster of one stands still then."""
    cluster = cluster_of(1)
    write(cluster, 60)
    learner = join(cluster, is_learner=True)
    cluster.settle()
    cluster.scheduler.run_for(1.0)  # virtual: its acknowledgements reach the leader
    learner.kill()
    cluster.scheduler.run_for(NOTICED_S)
    assert isinstance(promoted(cluster, learner.member_id), UnhealthyCluster)
    return cluster


@mistake
def leadership_moved_to_a_learner() -> SimulatedCluster:
    cluster = cluster_of(3)
    learner = join(cluster, is_learner=True)
    maintenance = leader_of(cluster).running.member.maintenance
    with pytest.raises(BadLeaderTransferee):
        maintenance.move_leader(learner.member_id, lambda error: None)
    return cluster


# --- removing -------------------------------------------------------------------------------------


@mistake
def a_healthy_member_removed_while_another_is_down() -> SimulatedCluster:
    cluster = cluster_of(3)
    down(cluster)
    refusal = remove(cluster, follower_of(cluster).member_id)
    assert isinstance(refusal, UnhealthyCluster)
    assert "1 of 2 voters answer, 2 are needed" in str(refusal)
    return cluster


@mistake
def a_healthy_member_removed_whose_process_hangs() -> SimulatedCluster:
    """The connection of a process that stands still is up, so etcd counts it as healthy."""
    cluster = cluster_of(3)
    leader = leader_of(cluster)
    hanging, healthy = (m for m in cluster.machines if m is not leader)
    hanging.pause()
    cluster.scheduler.run_for(NOTICED_S)
    assert isinstance(remove(cluster, healthy.member_id), UnhealthyCluster)
    return cluster


@mistake
def the_leader_removed() -> SimulatedCluster:
    cluster = cluster_of(3)
    gone = leader_of(cluster)
    assert isinstance(remove(cluster, gone.member_id, at=gone), MemberInfo)
    assert cluster.scheduler.run_until(lambda: gone.process is None, within_s=20)
    assert leader_of(cluster) is not gone
    return cluster


@mistake
def half_of_them_removed() -> SimulatedCluster:
    """Of five, two of them down, none of the three that run may go; of those that are down, all."""
    cluster = cluster_of(5)
    down(cluster, 2)
    for machine in [m for m in cluster.machines if m.process is not None]:
        assert isinstance(remove(cluster, machine.member_id), UnhealthyCluster)
    for machine in [m for m in cluster.machines if m.process is None]:
        assert isinstance(remove(cluster, machine.member_id), MemberInfo)
    return cluster


@mistake
def two_removed_at_the_same_time() -> SimulatedCluster:
    """Of four with one down, one may go, and then no other: whoever asks at the same time."""
    cluster = cluster_of(4)
    down(cluster)
    leader = leader_of(cluster)
    others = [m for m in cluster.machines if m is not leader and m.process is not None]
    outcomes: list[object] = []
    for machine in others:
        request = ChangeRequest(ChangeKind.REMOVE, machine.member_id)
        leader.running.member.membership.change(request, outcomes.append)
    assert cluster.scheduler.run_until(lambda: len(outcomes) == 2, within_s=20)
    refused = [outcome for outcome in outcomes if isinstance(outcome, RaftKVError)]
    assert [type(one) for one in refused] in ([UnhealthyCluster], [ChangePending])
    return cluster


@mistake
def the_last_member_removed() -> SimulatedCluster:
    cluster = cluster_of(1)
    only = leader_of(cluster).member_id
    assert isinstance(remove(cluster, only), NotEnoughStartedMembers)
    return cluster


@mistake
def the_last_started_member_removed() -> SimulatedCluster:
    cluster = cluster_of(1)
    row = added(cluster, NOWHERE)
    assert isinstance(remove(cluster, leader_of(cluster).member_id), NotEnoughStartedMembers)
    withdrawn(cluster, row)
    return cluster


@mistake
def a_typo_in_the_id() -> SimulatedCluster:
    cluster = cluster_of(3)
    assert isinstance(remove(cluster, leader_of(cluster).member_id ^ 1), MemberNotFound)
    return cluster


# --- URLs of members that are there ---------------------------------------------------------------


@mistake
def a_wrong_url_for_one_of_two() -> SimulatedCluster:
    cluster = cluster_of(2)
    refusal = updated(cluster, follower_of(cluster), NOWHERE)
    assert isinstance(refusal, PeerUrlRefused)
    assert "nothing answers at http://nowhere:2380" in str(refusal)
    return cluster


@mistake
def a_wrong_url_for_one_of_three() -> SimulatedCluster:
    """It is taken, as etcd's order of a move wants it: two others answer. Then none for another."""
    cluster = cluster_of(3)
    first, second = (m for m in cluster.machines if m is not leader_of(cluster))
    right = urls_of(first)
    assert isinstance(updated(cluster, first, NOWHERE), MemberInfo)
    first.pause()  # nobody reaches it any more
    cluster.scheduler.run_for(NOTICED_S)
    assert isinstance(updated(cluster, second, ("http://no:1",)), PeerUrlRefused)
    first.resume()
    assert isinstance(updated(cluster, first, right), MemberInfo)
    return cluster


@mistake
def the_url_of_another_member() -> SimulatedCluster:
    cluster = cluster_of(3)
    refusal = updated(cluster, follower_of(cluster), urls_of(leader_of(cluster)))
    assert isinstance(refusal, PeerUrlExists)
    return cluster


# --- data directories -----------------------------------------------------------------------------


@mistake
def an_old_data_directory_after_the_removal() -> SimulatedCluster:
    cluster = cluster_of(3)
    gone = follower_of(cluster)
    gone.kill()
    cluster.scheduler.run_for(NOTICED_S)
    assert isinstance(remove(cluster, gone.member_id), MemberInfo)
    assert gone.start()
    assert cluster.scheduler.run_until(lambda: gone.process is None, within_s=20)
    assert isinstance(gone.failure, MemberRemoved)
    return cluster


@mistake
def an_empty_data_directory_under_the_old_identity() -> SimulatedCluster:
    """Then it is replaced where it was, in one change."""
    cluster = cluster_of(3)
    lost = follower_of(cluster)
    lost.kill()
    lost.wipe()
    for state in ("new", "existing"):
        lost.config = replace(lost.config, initial_cluster_state=state)
        assert not lost.start()
        assert "member remove" in str(lost.failure)
    cluster.scheduler.run_for(NOTICED_S)
    request = ChangeRequest(ChangeKind.REPLACE, lost.member_id, urls_of(lost))
    assert isinstance(ask(cluster, request), MemberInfo)
    start_added(cluster, lost)
    wait_for_vote(cluster, lost)
    assert len(voters_of(cluster)) == 3
    return cluster


@mistake
def a_new_cluster_forced_beside_a_live_one() -> SimulatedCluster:
    """It would tell the others that they were removed, and they would end, as etcd's do."""
    cluster = cluster_of(3)
    forced = follower_of(cluster)
    forced.kill()
    forced.config = replace(forced.config, force_new_cluster=True)
    assert not forced.start()
    assert "this one is at work" in str(forced.failure)
    forced.config = replace(forced.config, force_new_cluster=False)
    assert forced.start()
    return cluster


@mistake
def replaced_by_one_at_a_wrong_url() -> SimulatedCluster:
    """Also of a cluster of one: the old one stays until the new one votes."""
    cluster = cluster_of(1)
    old = leader_of(cluster)
    row = ask(cluster, ChangeRequest(ChangeKind.REPLACE, old.member_id, NOWHERE))
    cluster.scheduler.run_for(10.0)
    write(cluster, 3)
    withdrawn(cluster, row)
    return cluster


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_mistake_does_not_cost_the_quorum(scenario: Scenario) -> None:
    """Whatever the operator did, a put is acknowledged afterwards."""
    cluster = scenario()
    write(cluster, 3)


# --- what an operator may ask for all the same ----------------------------------------------------


def test_the_list_is_long_enough_and_documented() -> None:
    """Every scenario stands in the document by its name."""
    text = (ROOT / "docs" / "membership.md").read_text()
    missing = [one.__name__ for one in SCENARIOS if f"`{one.__name__}`" not in text]
    assert not missing, missing
    assert len(SCENARIOS) >= 20


def test_unsafe_is_asked_for_in_so_many_words() -> None:
    """The same removal that is refused is made, and what it costs is told before."""
    cluster = cluster_of(3)
    down(cluster)
    healthy = follower_of(cluster).member_id
    review = look(cluster, ChangeRequest(ChangeKind.REMOVE, healthy))
    assert (review.before.needed, len(review.before.reachable)) == (2, 2)
    assert (review.after.needed, len(review.after.reachable)) == (2, 1)
    assert isinstance(review.refusal, UnhealthyCluster)
    assert len(voters_of(cluster)) == 3, "a look changes nothing"
    assert isinstance(remove(cluster, healthy, unsafe=True), MemberInfo)
    assert len(leader_of(cluster).running.member.members()) == 2


def test_etcds_way_is_a_flag_away() -> None:
    """--auto-promote-learners=none: a plain add is a vote at once, and a wrong URL costs it."""
    cluster = cluster_of(1, auto_promote="none")
    desk = leader_of(cluster).running.member.membership
    assert desk.kind_of_addition(is_learner=False) is ChangeKind.ADD
    row = ask(cluster, ChangeRequest(ChangeKind.ADD, peer_urls=NOWHERE))
    assert isinstance(row, MemberInfo)
    assert not row.is_learner
    cluster.scheduler.run_for(NOTICED_S)
    assert cluster.leader() is None, "two votes, one of them nowhere"
