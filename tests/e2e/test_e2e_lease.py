"""Leases through the real etcdctl, on the leader and a follower, and over deaths of members."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from zlib import crc32

import grpc
import pytest

from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster
from tests.e2e.etcdctl import Etcdctl
from tests.e2e.waiting import wait_until


def grant(ctl: Etcdctl, ttl_s: int) -> str:
    """The id, in hexadecimal as etcdctl prints it."""
    words = ctl.ok("lease", "grant", str(ttl_s))[0].split()
    assert words[2:] == ["granted", "with", f"TTL({ttl_s}s)"], words
    return words[1]


def test_a_lease_with_keys(ctl: Etcdctl, prefix: str) -> None:
    """Granted, hung with keys, asked for, listed, revoked: the keys go with it, in one revision."""
    lease = grant(ctl, 600)
    for name in "ba":
        ctl.ok("put", f"--lease={lease}", prefix + name, "v")
    said = ctl.ok("lease", "timetolive", lease, "--keys")[0]
    assert said.startswith(f"lease {lease} granted with TTL(600s), remaining(")
    assert {prefix + "a", prefix + "b"} == set(said.partition("keys([")[2][:-2].split(" "))
    assert lease in ctl.ok("lease", "list")[1:]
    before = ctl.json("get", prefix, "--prefix")
    assert {row["lease"] for row in before["kvs"]} == {int(lease, 16)}
    assert ctl.ok("lease", "revoke", lease) == [f"lease {lease} revoked"]
    after = ctl.json("get", prefix, "--prefix")
    assert "kvs" not in after
    assert after["header"]["revision"] == before["header"]["revision"] + 1
    assert ctl.ok("lease", "timetolive", lease) == [f"lease {lease} already expired"]
    assert lease not in ctl.ok("lease", "list")


def test_keys_move_between_leases(ctl: Etcdctl, prefix: str) -> None:
    """A key holds the lease of its last put: another one, or none."""
    first, second = grant(ctl, 600), grant(ctl, 600)
    for name in "abc":
        ctl.ok("put", f"--lease={first}", prefix + name, "v")
    ctl.ok("put", f"--lease={second}", prefix + "b", "v")
    ctl.put(prefix + "c", "v")
    ctl.ok("lease", "revoke", first)
    assert ctl.keys(prefix, "--prefix") == [prefix + "b", prefix + "c"]
    ctl.ok("lease", "revoke", second)
    assert ctl.keys(prefix, "--prefix") == [prefix + "c"]


def test_a_lease_ends_by_itself(ctl: Etcdctl, prefix: str) -> None:
    """Its key goes, a watch sees the delete with the pair before, and a renewal finds nothing."""
    lease = grant(ctl, 2)
    key = prefix + "k"
    put = ctl.json("put", f"--lease={lease}", key, "v")["header"]["revision"]
    with ctl.watch(key, "--prev-kv", f"--rev={put + 1}") as watch:
        assert watch.lines(5) == ["DELETE", key, "v", key, ""]
    assert ctl.fails("lease", "keep-alive", "--once", lease).endswith("lease not found")


def test_keep_alive_once(ctl: Etcdctl) -> None:
    """It tells the whole TTL again, and the lease has it."""
    lease = grant(ctl, 100)
    assert ctl.ok("lease", "keep-alive", "--once", lease) == [
        f"lease {lease} keepalived with TTL(100)"
    ]


def test_refusals(api: Api, ctl: Etcdctl, prefix: str) -> None:
    """Unknown, known already, too long: etcd's codes and words; too short is made longer."""

    def ask(name: str, request: object, response: type) -> object:
        return api.unary(f"/etcdserverpb.Lease/{name}", response)(request, timeout=10)

    def refused(name: str, request: object, response: type) -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as raised:
            ask(name, request, response)
        return raised.value.code().name, raised.value.details()

    chosen = pb.LeaseGrantRequest(ID=crc32((prefix + api.endpoint).encode()) + 1, TTL=-5)
    granted = ask("LeaseGrant", chosen, pb.LeaseGrantResponse)
    assert isinstance(granted, pb.LeaseGrantResponse)
    assert (granted.ID, granted.TTL) == (chosen.ID, 2)
    again = refused("LeaseGrant", chosen, pb.LeaseGrantResponse)
    assert again == ("FAILED_PRECONDITION", "etcdserver: lease already exists")
    long = refused("LeaseGrant", pb.LeaseGrantRequest(TTL=9_000_000_001), pb.LeaseGrantResponse)
    assert long == ("OUT_OF_RANGE", "etcdserver: too large lease TTL")
    gone = refused("LeaseRevoke", pb.LeaseRevokeRequest(ID=12345), pb.LeaseRevokeResponse)
    assert gone == ("NOT_FOUND", "etcdserver: requested lease not found")
    left = ask("LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=12345), pb.LeaseTimeToLiveResponse)
    assert isinstance(left, pb.LeaseTimeToLiveResponse)
    assert (left.ID, left.TTL, left.grantedTTL) == (12345, -1, 0)
    said = ctl.fails("put", "--lease=3039", prefix + "k", "v")
    assert said.endswith("etcdserver: requested lease not found")


@pytest.mark.slow
def test_a_renewed_lease_survives_the_leader(new_cluster: Callable[..., Cluster]) -> None:
    """kill -9 of the leader under a keep-alive at a follower: the lease goes on, and ends when the
    renewals do."""
    cluster = new_cluster()
    leader, follower = cluster.leader(), cluster.follower()
    ctl = cluster.ctl(follower)
    lease = grant(ctl, 5)
    ctl.ok("put", f"--lease={lease}", "held", "v")
    renewing = subprocess.Popen(
        ctl.command("lease", "keep-alive", lease), stdout=subprocess.PIPE, text=True
    )
    try:
        assert renewing.stdout is not None
        assert "keepalived" in renewing.stdout.readline()
        leader.kill()
        for _ in range(5):  # one every 5/3 seconds: more than one TTL in all
            assert "keepalived" in renewing.stdout.readline()
        assert ctl.keys("held") == ["held"]
    finally:
        renewing.kill()
        renewing.wait()
    wait_until(lambda: ctl.keys("held") == [], "the lease ends", seconds=30)
    cluster.start()
    cluster.wait_alike()


@pytest.mark.slow
def test_leases_survive_a_restart_of_all(new_cluster: Callable[..., Cluster]) -> None:
    """kill -9 of every member: the leases and their keys are there again, and still end."""
    cluster = new_cluster()
    long, short = grant(cluster.ctl(), 600), grant(cluster.ctl(), 3)
    for lease, key in ((long, "long"), (short, "short")):
        cluster.ctl().ok("put", f"--lease={lease}", key, "v")
    cluster.kill()
    cluster.start()
    ctl = cluster.ctl()
    said = wait_until(lambda: ctl.ok("lease", "timetolive", long, "--keys")[0], "an answer")
    assert said.endswith("attached keys([long])")
    wait_until(lambda: ctl.keys("short") == [], "the short one ends", seconds=30)
    assert ctl.keys("long") == ["long"]
