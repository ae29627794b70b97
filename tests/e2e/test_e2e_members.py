"""etcdctl endpoint status, health, hashkv and member list: what the members say of themselves."""

from __future__ import annotations

import json
import urllib.request

from tests.e2e.cluster import Cluster
from tests.e2e.etcdctl import Etcdctl
from tests.e2e.member_process import MemberProcess


def test_status_of_all_endpoints(shared_cluster: Cluster) -> None:
    """Three members with different ids agree on the one leader and the term."""
    shared_cluster.wait_alike()
    answers = shared_cluster.ctl().json("endpoint", "status")
    statuses = [answer["Status"] for answer in answers]
    ids = [status["header"]["member_id"] for status in statuses]
    assert len(set(ids)) == 3
    assert len({status["header"]["cluster_id"] for status in statuses}) == 1
    assert {status["leader"] for status in statuses} <= set(ids)
    assert len({status["leader"] for status in statuses}) == 1
    assert len({status["raftTerm"] for status in statuses}) == 1
    for status in statuses:
        assert status["raftAppliedIndex"] <= status["raftIndex"]
        assert 0 < status["dbSizeInUse"] <= status["dbSize"]
        assert "errors" not in status


def test_status_table(shared_cluster: Cluster) -> None:
    """The table has a row for each endpoint, one of them leading."""
    lines = shared_cluster.ctl().ok("endpoint", "status", "--write-out=table")
    rows = [line.split("|") for line in lines if "127.0.0.1" in line]
    assert [row[1].strip() for row in rows] == shared_cluster.endpoints
    assert sorted(row[5].strip() for row in rows) == ["false", "false", "true"]


def test_version_suits_kubernetes(shared_cluster: Cluster) -> None:
    """Status.version is a semantic version; an apiserver reads features out of it."""
    version = shared_cluster.api(shared_cluster.leader()).status().version
    assert [part.isdigit() for part in version.split(".")] == [True, True, True], version


def test_endpoints_are_healthy(shared_cluster: Cluster) -> None:
    """endpoint health commits through every member, also with the list taken from the cluster."""
    for arguments in (("endpoint", "health"), ("endpoint", "health", "--cluster")):
        outcome = shared_cluster.ctl().run(*arguments)
        assert outcome.status == 0, outcome
        said = outcome.output + outcome.errors
        assert said.count("is healthy: successfully committed proposal") == 3, said


def test_hashes_are_equal(shared_cluster: Cluster, prefix: str) -> None:
    """After the same writes all members hash the same."""
    ctl = shared_cluster.ctl()
    for number in range(10):
        ctl.put(f"{prefix}{number}", str(number))
    shared_cluster.wait_alike()
    lines = ctl.ok("endpoint", "hashkv")
    assert [line.split(", ")[0] for line in lines] == shared_cluster.endpoints
    assert len({line.split(", ")[1] for line in lines}) == 1
    answers = ctl.json("endpoint", "hashkv")
    assert len({answer["HashKV"]["compact_revision"] for answer in answers}) == 1


def test_member_list(shared_cluster: Cluster, ctl: Etcdctl) -> None:
    """Each member knows all members, by name and URLs, under the ids that they use themselves."""
    listed = {entry["name"]: entry for entry in ctl.json("member", "list")["members"]}
    for process in shared_cluster.members:
        entry = listed.pop(process.name)
        assert entry["peerURLs"] == [process.addresses.peer_url]
        assert entry["clientURLs"] == [process.addresses.client_url]
        assert entry["ID"] == shared_cluster.api(process).status().header.member_id
    assert not listed
    simple = ctl.ok("member", "list")
    assert [line.split(", ")[1] for line in simple] == ["started"] * 3


def test_http_on_the_client_port(member: MemberProcess) -> None:
    """/health, /version and /metrics answer plain HTTP/1.1 where gRPC is served."""
    root = member.addresses.client_url
    assert member.health() is not None
    with urllib.request.urlopen(f"{root}/version", timeout=10) as answer:
        version = json.load(answer)
    assert set(version) >= {"etcdserver", "etcdcluster"}
    with urllib.request.urlopen(f"{root}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    assert "etcd_server_has_leader 1" in metrics


def test_ids_survive_a_look_from_elsewhere(shared_cluster: Cluster) -> None:
    """Every member reports the same ids and the same leader, whoever is asked."""
    seen = {
        tuple(
            sorted(
                entry["ID"]
                for entry in shared_cluster.ctl(member).json("member", "list")["members"]
            )
        )
        for member in shared_cluster.members
    }
    assert len(seen) == 1
