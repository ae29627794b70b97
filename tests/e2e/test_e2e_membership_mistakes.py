"""Mistakes with members, by etcdctl and real processes: the cluster takes writes after each."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.etcdctl import Outcome
from tests.e2e.member_process import MemberProcess
from tests.e2e.test_e2e_ctl import run_ours
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.raftkv_only
StartCluster = Callable[..., Cluster]


def takes_writes(cluster: Cluster, what: str) -> None:
    ctl = cluster.ctl(*cluster.running)
    wait_until(lambda: ctl.run("put", "after", what).status == 0, f"writes after {what}")


def id_at(cluster: Cluster, url: str) -> str:
    rows = cluster.ctl(*cluster.running).ok("member", "list")
    return next(row.split(", ")[0] for row in rows if url in row)


def level_is_raised(cluster: Cluster) -> bool:
    logs = cluster.leader().log_text()
    return "the cluster's level changed" in logs


def test_mistakes_with_real_members(new_cluster: StartCluster) -> None:
    """A typo, the client URL, a new cluster forced beside a live one, a copied data directory."""
    cluster = new_cluster(members=3)
    wait_until(lambda: level_is_raised(cluster), "all members know each other's version")
    leader, follower = cluster.leader(), cluster.follower()
    a_typo_in_the_port(cluster)
    a_look_first(cluster)
    the_client_url(cluster, leader)
    a_forced_new_cluster(cluster, follower)
    a_copied_directory(cluster, follower)


def a_typo_in_the_port(cluster: Cluster) -> None:
    """With one of four "members" nowhere, two of three are still a quorum."""
    nowhere = cluster.newcomer().peer_url
    cluster.ctl().ok("member", "add", "typo", f"--peer-urls={nowhere}")
    away = cluster.follower()
    away.kill()
    takes_writes(cluster, "typo")
    cluster.ctl(*cluster.running).ok("member", "remove", id_at(cluster, nowhere))
    away.start()
    away.wait_healthy()


def a_look_first(cluster: Cluster) -> None:
    """`raftkv ctl`: the quorum before and after, who answers, and the refusal, with its status."""
    leader = cluster.leader()
    away = cluster.follower()
    healthy = next(m for m in cluster.members if m not in (leader, away))
    ids = {m.name: id_at(cluster, m.addresses.peer_url) for m in cluster.members}
    away.kill()

    def look(name: str) -> Outcome:
        return run_ours(leader.endpoint, ["member", "remove", ids[name], "--dry-run"])

    seen = wait_until(
        lambda: told if (told := look(healthy.name)).status else None, "the leader has noticed"
    )
    assert "unhealthy cluster" in seen.errors
    assert f"without an answer: {away.name}" in seen.lines[0]
    assert "quorum 2, 1 answer" in seen.lines[1]
    assert look(away.name).lines[-1] == "the change would be made"
    assert len(cluster.ctl(leader).ok("member", "list")) == 3
    takes_writes(cluster, "a look")
    away.start()
    away.wait_healthy()


def the_client_url(cluster: Cluster, member: MemberProcess) -> None:
    """Refused, with what was found there."""
    url = member.addresses.client_url
    refused = cluster.ctl().fails("member", "add", "x", f"--peer-urls={url}")
    assert "answers GET /members with 404; is it a client URL?" in refused
    assert url in refused
    takes_writes(cluster, "client URL")


def a_forced_new_cluster(cluster: Cluster, member: MemberProcess) -> None:
    """It refuses to start; without the flag it is a member as before."""
    member.kill()
    initial = ",".join(f"{m.name}={m.addresses.peer_url}" for m in cluster.members)
    forced = MemberProcess(
        cluster.program,
        member.addresses,
        cluster.directory,
        initial,
        last=["--force-new-cluster"],
    )
    forced.start()
    assert forced.wait_ended() == 1
    assert "this one is at work" in forced.log_text()
    takes_writes(cluster, "forced new cluster")
    member.start()
    member.wait_healthy()


def a_copied_directory(cluster: Cluster, member: MemberProcess) -> None:
    """Two processes with one id: nobody calls the copy, and it wins nothing."""
    member.stop()
    place = replace(cluster.newcomer(), name=member.name)
    copies = cluster.directory / "copies"
    shutil.copytree(member.data_dir, copies / member.data_dir.name)
    member.start()
    member.wait_healthy()
    initial = ",".join(
        f"{m.name}={(place if m is member else m.addresses).peer_url}" for m in cluster.members
    )
    copy = MemberProcess(cluster.program, place, copies, initial)
    copy.start()
    try:
        wait_until(lambda: "starting an etcd server" in copy.log_text(), "the copy runs")
        for number in range(3):
            takes_writes(cluster, f"copied directory {number}")
        assert copy.is_running
        assert member.is_running
    finally:
        copy.kill()
    cluster.wait_alike()
