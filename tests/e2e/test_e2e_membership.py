"""Members come and go by etcdctl: under writes, by snapshot, as learners; and who is refused."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.member_process import Addresses, MemberProcess
from tests.e2e.waiting import wait_until
from tests.e2e.writers import AcknowledgedWriters, lost

StartCluster = Callable[..., Cluster]
NOT_YET = ("unhealthy cluster", "not enough started members")
"""While the member that was added before is on its way."""
MIGHTY = ("--snapshot-count=50",)


def added(cluster: Cluster, place: Addresses, *options: str) -> str:
    """The --initial-cluster that ``member add`` prints, once the cluster is healthy enough."""

    def attempt() -> str | None:
        outcome = cluster.ctl(*cluster.running).run(
            "member", "add", place.name, f"--peer-urls={place.peer_url}", *options
        )
        if outcome.status:
            assert any(words in outcome.errors for words in NOT_YET), outcome
            return None
        line = next(line for line in outcome.lines if line.startswith("ETCD_INITIAL_CLUSTER="))
        return line.partition("=")[2].strip('"')

    return wait_until(attempt, f"{place.name} is added", seconds=60)


def id_of(cluster: Cluster, member: MemberProcess) -> str:
    """In hex, as etcdctl takes it."""
    rows = cluster.ctl(*cluster.running).ok("member", "list")
    return next(row.split(", ")[0] for row in rows if member.addresses.peer_url in row)


def grow(cluster: Cluster) -> MemberProcess:
    place = cluster.newcomer()
    member = cluster.join(place, added(cluster, place))
    member.wait_healthy()
    return member


def test_growing_from_one_to_three_to_five_under_writes(new_cluster: StartCluster) -> None:
    """No acknowledged write is lost, every newcomer has all of them, and all are alike."""
    cluster = new_cluster(members=1, flags=MIGHTY)
    with AcknowledgedWriters([cluster.members[0].endpoint]) as writers:
        writers.wait_for_more(200)
        for _ in range(4):
            grow(cluster)
            writers.wait_for_more(50)
        acknowledged = writers.stop()
    cluster.wait_alike()
    assert len(cluster.ctl().ok("member", "list")) == 5
    for member in cluster.members:
        assert lost(acknowledged, cluster.api(member), serializable=True) == []


def test_a_learner_is_promoted_when_it_is_there(new_cluster: StartCluster) -> None:
    """Too early it is refused; it serves nothing but its own state; then it votes."""
    cluster = new_cluster(members=1)
    ctl = cluster.ctl(cluster.members[0])
    for number in range(30):
        ctl.put(f"k{number}", "v")
    place = cluster.newcomer()
    initial = added(cluster, place, "--learner")
    row = next(row for row in ctl.ok("member", "list") if place.peer_url in row)
    learner_id = row.split(", ")[0]
    assert row.endswith("true")
    refused = ctl.fails("member", "promote", learner_id)
    assert "can only promote a learner member which is in sync with leader" in refused
    learner = cluster.join(place, initial)
    wait_until(lambda: learner.addresses.name in "".join(ctl.ok("member", "list")), "it is there")
    words = wait_until(lambda: cluster.ctl(learner).run("get", "k1").errors, "a learner answers")
    assert "rpc not supported for learner" in words
    wait_until(lambda: ctl.run("member", "promote", learner_id).status == 0, "it is promoted")
    assert "can only promote a learner member" in ctl.fails("member", "promote", learner_id)
    learner.wait_healthy()
    cluster.wait_alike()


def test_a_removed_member_ends(new_cluster: StartCluster) -> None:
    """By itself, with status 0, and again when it is started again."""
    cluster = new_cluster(members=3)
    gone = cluster.leader()
    member_id = id_of(cluster, gone)
    others = [member for member in cluster.members if member is not gone]
    wait_until(
        lambda: cluster.ctl(*others).run("member", "remove", member_id).status == 0, "removed"
    )
    assert gone.wait_ended() == 0
    assert "removed" in gone.log_text()
    wait_until(lambda: cluster.ctl(*others).run("put", "k", "v").status == 0, "the rest goes on")
    gone.start()
    assert gone.wait_ended() == 0


def test_a_lost_member_is_replaced(new_cluster: StartCluster) -> None:
    """Removed, added at the same place under a new id, and filled by a snapshot."""
    cluster = new_cluster(members=3, flags=MIGHTY)
    ctl = cluster.ctl()
    dead = cluster.follower()
    member_id = id_of(cluster, dead)
    dead.kill()
    for number in range(60):
        ctl.put(f"k{number}", "v")
    ctl = cluster.ctl(*cluster.running)
    ctl.ok("member", "remove", member_id)
    initial = added(cluster, dead.addresses)
    fresh = cluster.join(dead.addresses, initial, directory="fresh")
    fresh.wait_healthy()
    cluster.wait_alike()
    assert id_of(cluster, fresh) != member_id
    assert len(cluster.ctl(fresh).keys("k", "--prefix", "--keys-only")) == 60


def test_a_wrong_initial_cluster_is_refused(new_cluster: StartCluster) -> None:
    """A list that is not the cluster's, and a place that was never added."""
    cluster = new_cluster(members=1)
    first = cluster.members[0].addresses
    place = cluster.newcomer()
    stranger = cluster.join(place, f"{first.name}={first.peer_url},{place.name}={place.peer_url}")
    assert stranger.wait_ended() != 0
    assert "member count is unequal" in stranger.log_text()
    cluster.members.remove(stranger)


def test_update_changes_the_peer_urls(new_cluster: StartCluster) -> None:
    """The list shows the new one; an unknown member and a used URL are refused."""
    cluster = new_cluster(members=1)
    ctl, member = cluster.ctl(), cluster.members[0]
    member_id = id_of(cluster, member)
    url = f"http://localhost:{member.addresses.peer_port}"
    ctl.ok("member", "update", member_id, f"--peer-urls={url}")
    assert url in ctl.ok("member", "list")[0]
    assert "member not found" in ctl.fails("member", "update", "abc", f"--peer-urls={url}")
    assert "member not found" in ctl.fails("member", "remove", "abc")
    assert "Peer URLs already exists" in ctl.fails("member", "add", "x", f"--peer-urls={url}")


@pytest.mark.raftkv_only
@pytest.mark.parametrize("state", ["new", "existing"])
def test_a_wiped_member_is_refused_under_its_old_identity(
    new_cluster: StartCluster, state: str
) -> None:
    """It could vote twice. (etcd lets it join as ``existing``.)"""
    cluster = new_cluster(members=3)
    initial = ",".join(f"{m.name}={m.addresses.peer_url}" for m in cluster.members)
    dead = cluster.follower()
    dead.kill()
    again = cluster.join(dead.addresses, initial, state=state, directory="fresh")
    assert again.wait_ended() == 1
    assert "Remove it (member remove" in again.log_text()
    cluster.members.remove(again)


@pytest.mark.raftkv_only
def test_an_observer_serves_every_call_without_a_vote(new_cluster: StartCluster) -> None:
    """Linearizable reads, writes, leases, watches and probes, at the observer alone; the cluster
    goes on when it dies."""
    cluster = new_cluster(members=1, flags=("--observer",))
    voter = cluster.members[0]
    place = cluster.newcomer()
    observer = cluster.join(place, added(cluster, place, "--learner"))
    observer.wait_healthy()
    ctl = cluster.ctl(observer)
    for number in range(5):
        cluster.ctl(voter).put("k", f"{number}")
        assert ctl.ok("get", "k", "--print-value-only") == [f"{number}"]
    ctl.put("k", "through the observer")
    assert cluster.ctl(voter).ok("get", "k")[1] == "through the observer"
    lease = ctl.ok("lease", "grant", "60")[0].split()[1]
    ctl.ok("lease", "keep-alive", "--once", lease)
    first = ctl.put("w", "1")
    with ctl.watch("w", f"--rev={first}") as watch:
        assert watch.lines(3) == ["PUT", "w", "1"]
        cluster.ctl(voter).put("w", "2")
        assert watch.lines(3) == ["PUT", "w", "2"]
    url = f"{observer.addresses.client_url}/readyz"
    with urllib.request.urlopen(url, timeout=5) as answer:
        assert answer.status == 200
    assert cluster.api(observer).status().isLearner
    observer.kill()
    cluster.ctl(voter).put("k", "alone")
