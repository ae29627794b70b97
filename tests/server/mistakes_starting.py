"""Members that are started: no mistake costs the quorum. docs/membership.md lists them."""

from __future__ import annotations

from dataclasses import replace

from raftkv.errors import ConfigError, MemberRemoved
from raftkv.server.change_request import ChangeKind, ChangeRequest
from raftkv.server.status import MemberInfo
from raftkv.simulation.cluster import SimulatedCluster
from tests.server.growing_cluster import (
    add,
    ask,
    cluster_of,
    follower_of,
    leader_of,
    remove,
    start_added,
    urls_of,
    voters_of,
    wait_for_vote,
)
from tests.server.membership_mistakes import (
    NOTICED_S,
    Mistakes,
    withdrawn,
)

mistake = Mistakes()


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
