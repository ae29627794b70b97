"""kill -9 of members while clients write: what was acknowledged stays, and service comes back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import grpc
import pytest

from tests.e2e.api import Api
from tests.e2e.cluster import Cluster
from tests.e2e.waiting import wait_until
from tests.e2e.writers import Acknowledged, AcknowledgedWriters, lost

pytestmark = pytest.mark.slow

NewCluster = Callable[..., Cluster]


def assert_nothing_lost(cluster: Cluster, acknowledged: Sequence[Acknowledged]) -> None:
    """Every member, asked for its own state and for the cluster's, has each acknowledged write."""
    assert acknowledged, "no write was acknowledged at all"
    revisions = [write.revision for write in acknowledged]
    assert len(set(revisions)) == len(revisions), "two acknowledged puts share a revision"
    cluster.wait_alike()
    for member in cluster.running:
        api = cluster.api(member)
        for serializable in (False, True):
            assert lost(acknowledged, api, serializable=serializable) == [], member.name


def test_leader_killed_during_writes(new_cluster: NewCluster) -> None:
    """Kill the leader twice under load; a new one takes over, and no acknowledged write is lost."""
    cluster = new_cluster()
    with AcknowledgedWriters(cluster.endpoints) as writers:
        for _ in range(2):
            writers.wait_for_more(200)
            leader = cluster.leader()
            leader.kill()
            writers.wait_for_more(200)
            assert cluster.leader() is not leader
            leader.start()
            leader.wait_healthy()
        acknowledged = writers.stop()
    assert_nothing_lost(cluster, acknowledged)


def test_all_members_killed_at_once(new_cluster: NewCluster) -> None:
    """Kill all three under load, start them again: all that was acknowledged is there."""
    cluster = new_cluster()
    with AcknowledgedWriters(cluster.endpoints) as writers:
        writers.wait_for_more(400)
        cluster.kill()
        cluster.start()
        writers.wait_for_more(100)
        acknowledged = writers.stop()
    assert_nothing_lost(cluster, acknowledged)


def test_identity_and_history_survive_a_restart(new_cluster: NewCluster) -> None:
    """Ids, revisions, deleted keys' past and the hash are the same after kill -9 of everything."""
    cluster = new_cluster()
    api = cluster.api(cluster.leader())
    first = api.put(b"k", b"1").header.revision
    api.put(b"k", b"2")
    api.put(b"gone", b"x")
    last = api.delete(b"gone").header.revision
    assert cluster.wait_alike() == last
    before = [cluster.api(member).hash_kv() for member in cluster.members]
    cluster.kill()
    cluster.start()
    assert cluster.wait_alike() == last
    after = [cluster.api(member).hash_kv() for member in cluster.members]
    for old, new in zip(before, after, strict=True):
        assert (old.header.member_id, old.header.cluster_id, old.hash) == (
            new.header.member_id,
            new.header.cluster_id,
            new.hash,
        )
    api = cluster.api(cluster.leader())
    assert api.range(b"k", revision=first).kvs[0].value == b"1"
    assert api.range(b"gone", revision=last - 1).count == 1
    assert api.put(b"k", b"3").header.revision == last + 1


def test_minority_does_not_answer(new_cluster: NewCluster) -> None:
    """With two of three dead, writes and linearizable reads fail and serializable reads work."""
    cluster = new_cluster()
    cluster.api(cluster.leader()).put(b"k", b"v")
    cluster.wait_alike()
    survivor, *others = [*cluster.followers(), cluster.leader()]
    for member in others:
        member.kill()
    api = Api(survivor.endpoint, timeout_seconds=3)
    with pytest.raises(grpc.RpcError):
        api.put(b"k", b"never")
    with pytest.raises(grpc.RpcError):
        api.range(b"k")
    assert api.range(b"k", serializable=True).kvs[0].value == b"v"
    others[0].start()
    others[0].wait_healthy()
    assert api.range(b"k").count == 1
    api.close()


def test_follower_catches_up_with_the_log(new_cluster: NewCluster) -> None:
    """A follower that was down for a while gets what it missed and ends up alike."""
    cluster = new_cluster()
    follower = cluster.follower()
    follower.kill()
    leader = cluster.api(cluster.leader())
    for number in range(200):
        last = leader.put(b"%d" % number, b"v").header.revision
    follower.start()
    follower.wait_healthy()
    assert cluster.wait_alike() == last


def test_member_far_behind_gets_a_snapshot(new_cluster: NewCluster) -> None:
    """A member that missed more than the log keeps is sent a snapshot, and then follows again.

    etcd keeps 5000 entries for such members whatever --snapshot-count is, so more are written;
    sequential puts of few clients keep a member from gathering them in few entries.
    """
    cluster = new_cluster(flags=["--snapshot-count=100"])
    follower = cluster.follower()
    cluster.api(cluster.leader()).put(b"before", b"v")
    cluster.wait_alike()
    follower.kill()
    goal = cluster.api(cluster.leader()).status().raftIndex + 5_600
    with AcknowledgedWriters([cluster.leader().endpoint], number=2) as writers:
        api = cluster.api(cluster.leader())
        wait_until(lambda: api.status().raftIndex > goal, f"the log reached {goal}", seconds=90)
        acknowledged = writers.stop()
    follower.start()
    follower.wait_healthy()
    assert_nothing_lost(cluster, acknowledged)
    assert re.search(r"(receiv|appl|install)\w+ .*snapshot", follower.log_text()), (
        "no snapshot came"
    )
    # It is a full member again: with it and one other alone, writes go on.
    next(member for member in cluster.followers() if member is not follower).kill()
    wait_until(lambda: _accepts_a_put(cluster), "the member counts for the quorum")


def test_watch_survives_a_leader_change(new_cluster: NewCluster) -> None:
    """A watch on a follower misses nothing and repeats nothing when the leader dies under load."""
    cluster = new_cluster()
    watched = cluster.follower()
    start = cluster.api(watched).revision() + 1
    watch = cluster.api(watched).watch(key=b"w/", range_end=b"w0", start_revision=start)
    watch.created()
    with AcknowledgedWriters(cluster.endpoints) as writers:
        writers.wait_for_more(100)
        cluster.leader().kill()
        writers.wait_for_more(100)
        acknowledged = writers.stop()
    last = cluster.api(watched).revision()
    seen: list[int] = []
    for response in watch.responses_with_events():
        seen += [event.kv.mod_revision for event in response.events]
        if seen[-1] >= last:
            break
    assert seen == list(range(start, last + 1))
    assert {write.revision for write in acknowledged} <= set(seen)
    watch.close()


def test_etcdctl_watch_survives_a_restart(new_cluster: NewCluster) -> None:
    """etcdctl watch goes to another member when its own is killed, and resumes where it was."""
    cluster = new_cluster()
    api = cluster.api(cluster.leader())
    first = api.put(b"k", b"1").header.revision
    watched, other = cluster.followers()
    with cluster.ctl(watched, other).watch("k", f"--rev={first}") as watch:
        assert watch.lines(3) == ["PUT", "k", "1"]
        watched.kill()
        api.put(b"k", b"2")
        assert watch.lines(3) == ["PUT", "k", "2"]


def _accepts_a_put(cluster: Cluster) -> bool:
    try:
        cluster.api(cluster.leader()).put(b"after", b"v")
    except grpc.RpcError:
        return False
    return True
