"""Members that are added, promoted or told another URL: no mistake costs the quorum.

docs/membership.md lists the mistakes.
"""

from __future__ import annotations

import pytest

from raftkv.errors import (
    BadLeaderTransferee,
    LearnerNotReady,
    NotEnoughStartedMembers,
    PeerUrlExists,
    PeerUrlRefused,
    UnhealthyCluster,
)
from raftkv.peer.finding import Finding
from raftkv.server.change_request import ChangeKind, ChangeRequest
from raftkv.server.introduction import ClusterView
from raftkv.server.status import MemberInfo
from raftkv.simulation.cluster import SimulatedCluster
from tests.server.growing_cluster import (
    add,
    ask,
    cluster_of,
    follower_of,
    join,
    leader_of,
    start_added,
    urls_of,
    voters_of,
    wait_for_vote,
    write,
)
from tests.server.membership_mistakes import (
    NOTICED_S,
    NOWHERE,
    Mistakes,
    added,
    down,
    promoted,
    updated,
    withdrawn,
)

mistake = Mistakes()


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
