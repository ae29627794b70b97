"""A real cluster that tells what it does: access log, who, top, traces, and the metrics that the
alerts and the dashboard ask for."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from raftkv.api import rpc_pb2 as pb
from raftkv.cli.main import main
from tests.deploy.promql import families_of, metrics_of
from tests.deploy.test_deploy_observability import expressions
from tests.e2e.cluster import Cluster
from tests.e2e.member_process import MemberProcess
from tests.e2e.program import program_under_test
from tests.e2e.waiting import wait_until
from tests.tracing.collector import Collector

pytestmark = pytest.mark.raftkv_only

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("observability")
    flags = (
        f"--access-log={directory}/{{name}}.access",
        "--enable-top-talkers",
        "--metrics=extensive",
        "--enable-distributed-tracing",
        f"--distributed-tracing-address={collector.url}",
    )
    with Cluster(program_under_test(), directory, flags=flags) as cluster:
        yield cluster
        assert not cluster.broken_log_lines()


def access_logs(cluster: Cluster) -> list[Path]:
    return [cluster.directory / f"{member.name}.access" for member in cluster.members]


def tellers(cluster: Cluster, revision: int) -> list[dict[str, Any]]:
    """The lines that tell who wrote it; a revoked lease is not sure of it."""
    lines = [
        json.loads(text)
        for path in access_logs(cluster)
        for text in path.read_text().splitlines(keepends=True)
        if text.endswith("\n")
    ]
    found = [line for line in lines if line.get("revision") == revision and "index" in line]
    return [line for line in found if line.get("wrote", "lease" in line)]


def test_every_revision_has_one_line(cluster: Cluster) -> None:
    """Whatever wrote it, by whichever member: puts, deletes, txns, and a lease that is revoked."""
    first = cluster.api(cluster.leader()).range(b"x").header.revision + 1
    for number, member in enumerate(cluster.members):
        api = cluster.api(member)
        for key in range(5):
            api.put(b"%d/%d" % (number, key), b"v" * 100)
        api.delete(b"%d/0" % number)
        cluster.ctl(member).ok("txn", stdin=f"\nput {number}/t v\n\n\n")
    grant = cluster.api(cluster.leader()).unary(
        "/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantResponse
    )
    revoke = cluster.api(cluster.follower()).unary(
        "/etcdserverpb.Lease/LeaseRevoke", pb.LeaseRevokeResponse
    )
    lease = grant(pb.LeaseGrantRequest(TTL=60)).ID
    cluster.api(cluster.leader()).put(b"leased", b"", lease=lease)
    last = revoke(pb.LeaseRevokeRequest(ID=lease)).header.revision
    assert last - first + 1 == 3 * 7 + 2
    for revision in range(first, last + 1):
        (line,) = wait_until(
            lambda revision=revision: tellers(cluster, revision), f"a line of {revision}"
        )
        assert line["code"] == "OK"
        assert line["index"] > 0
    (line,) = tellers(cluster, last)
    assert (line["method"], line["lease"]) == ("/etcdserverpb.Lease/LeaseRevoke", f"{lease:x}")
    arguments = ["ctl", "who", "1/t"]
    for path in access_logs(cluster):
        arguments += ["--access-log", str(path)]
    told = CliRunner().invoke(main, arguments)
    assert told.exit_code == 0, told.output
    assert 'Txn "1/t" by nobody from 127.0.0.1:' in told.stdout


def test_a_put_through_a_follower_is_traced(cluster: Cluster, collector: Collector) -> None:
    """Under the client's span, with the stages of the log, in order, and in time."""
    follower = cluster.follower()
    put = cluster.api(follower).unary("/etcdserverpb.KV/Put", pb.PutResponse)
    metadata = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
    put(pb.PutRequest(key=b"traced", value=b"v"), metadata=metadata)
    wait_until(lambda: any(s.name == "etcdserverpb.KV/Put" for s in collector.spans), "a span")
    root, stages = collector.tree("etcdserverpb.KV/Put")
    assert (root.trace_id, root.parent_id, root.member) == (TRACE, PARENT, follower.name)
    assert set(stages) == {"propose", "wal", "commit", "apply", "reply"}
    for span in stages.values():
        assert root.began <= span.began <= span.ended <= root.ended
    order = [stages[name].began for name in ("propose", "commit", "wal", "apply", "reply")]
    assert order == sorted(order)
    assert stages["wal"].ended > stages["wal"].began
    assert len({span.attributes["raft.index"] for span in (root, stages["apply"])}) == 1


def test_who_asks_most(cluster: Cluster) -> None:
    """A client that asks much for one prefix is first there, on the member and in top."""
    member = cluster.follower()
    for number in range(200):
        cluster.api(member).range(b"/registry/pods/ns/%d" % number, serializable=True)
    told = fetch(member, "/debug/top?n=1")
    prefix = json.loads(told)["prefixes"][0]
    assert (prefix["name"], prefix["calls"]) == ("/registry/pods/", 200)

    def shown() -> dict[str, Any] | None:
        """Once every member has told the cluster its client URLs."""
        arguments = ["ctl", "--endpoints", member.endpoint, "--command-timeout=60s"]
        told = CliRunner().invoke(main, [*arguments, "top", "--clients", "-w", "json"])
        assert told.exit_code == 0, told.output
        found: dict[str, Any] = json.loads(told.stdout)
        return found if found["prefixes"][0]["name"] == "/registry/pods/" else None

    found = wait_until(shown, "the prefix is first in top")
    assert found["clients"][0]["name"] == "127.0.0.1"
    assert found["errors"] == []


def test_what_alerts_and_the_dashboard_ask_for_is_there(cluster: Cluster) -> None:
    """Every metric in deploy/ is one that a member exports; ``up`` is Prometheus's own."""
    leader = cluster.leader()
    shown = families_of(fetch(leader, "/metrics")) | {"up"}
    missing = {
        f"{where}: {name}"
        for where, expression in expressions()
        for name in metrics_of(expression)
        if ":" not in name and name not in shown
    }
    assert not missing, "\n".join(sorted(missing))


def fetch(member: MemberProcess, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", member.addresses.client_port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200, (path, answer.status)
        return answer.read().decode()
    finally:
        connection.close()
