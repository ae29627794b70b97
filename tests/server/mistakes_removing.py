"""Members that are removed: no mistake costs the quorum. docs/membership.md lists them."""

from __future__ import annotations

from raftkv.errors import (
    ChangePending,
    MemberNotFound,
    NotEnoughStartedMembers,
    RaftKVError,
    UnhealthyCluster,
)
from raftkv.server.change_request import ChangeKind, ChangeRequest
from raftkv.server.status import MemberInfo
from raftkv.simulation.cluster import SimulatedCluster
from tests.server.growing_cluster import (
    cluster_of,
    follower_of,
    leader_of,
    remove,
)
from tests.server.membership_mistakes import (
    NOTICED_S,
    NOWHERE,
    Mistakes,
    added,
    down,
    withdrawn,
)

mistake = Mistakes()


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
