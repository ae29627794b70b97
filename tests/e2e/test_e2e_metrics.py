"""A real cluster scraped: the names that etcd's dashboards ask for, and values that move."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.member_process import MemberProcess, reserve_ports
from tests.e2e.program import program_under_test
from tests.e2e.waiting import wait_until
from tests.tidy.compatibility_tables import difference, rows_of

# What contrib/mixin of etcd, its dashboard and its alerts, asks for.
MIXIN = {
    "etcd_server_has_leader",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_failed_total",
    "etcd_server_proposals_pending",
    "etcd_server_proposals_committed_total",
    "etcd_server_proposals_applied_total",
    "etcd_server_quota_backend_bytes",
    "etcd_mvcc_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "etcd_disk_wal_fsync_duration_seconds_bucket",
    "etcd_disk_backend_commit_duration_seconds_bucket",
    "etcd_network_peer_round_trip_time_seconds_bucket",
    "etcd_network_peer_sent_bytes_total",
    "etcd_network_peer_received_bytes_total",
    "etcd_network_peer_sent_failures_total",
    "etcd_network_client_grpc_sent_bytes_total",
    "etcd_network_client_grpc_received_bytes_total",
    "grpc_server_started_total",
    "grpc_server_handled_total",
    "grpc_server_handling_seconds_bucket",
    "process_resident_memory_bytes",
}
VALUE = re.compile(r"^([a-z_0-9]+)((?:\{[^}]*\})?) ([-+.e0-9InNaf]+)$")
METRICS_PORT = reserve_ports(1)[0]
Values = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """All members share one metrics URL, by SO_REUSEPORT."""
    flags = (
        "--metrics=extensive",
        "--enable-pprof",
        "--socket-reuse-port",
        f"--listen-metrics-urls=http://127.0.0.1:{METRICS_PORT}",
        "--warning-unary-request-duration=1ms",
        "--log-format=json",
    )
    directory = tmp_path_factory.mktemp("metrics")
    with Cluster(program_under_test(), directory, flags=flags) as cluster:
        yield cluster
        assert not cluster.broken_log_lines()


def fetch(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def scrape(member: MemberProcess) -> Values:
    """By name, then by labels as they are written."""
    status, text = fetch(member.addresses.client_port, "/metrics")
    assert status == 200
    values: Values = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            found = VALUE.match(line)
            assert found, f"no line of the text format: {line!r}"
            values.setdefault(found[1], {})[found[2]] = float(found[3])
    return values


@pytest.mark.raftkv_only
def test_dashboards_find_their_names(cluster: Cluster) -> None:
    """Every name of the official mixin is there on every member, the links' once they are up."""
    for member in cluster.members:
        wait_until(lambda member=member: set(scrape(member)) >= MIXIN, "all names", seconds=20)
        assert len(scrape(member)["etcd_network_peer_sent_bytes_total"]) == 2


@pytest.mark.raftkv_only
def test_the_table_of_metrics_is_right(cluster: Cluster) -> None:
    """docs/metrics.md has a row for every family that is shown, and tells of no other."""
    told = rows_of("metrics.md")
    text = fetch(cluster.leader().addresses.client_port, "/metrics")[1]
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    known = {name: {"yes", "differs"} for name in shown}
    known |= {name: {"no"} for name in told.keys() - shown}
    wrong = difference("metrics.md", told, known)
    assert not wrong, wrong


@pytest.mark.raftkv_only
def test_values_move_as_they_should(cluster: Cluster) -> None:
    """Puts are started, handled, committed, synced and sent to peers; one leads."""
    leader = cluster.leader()
    api = cluster.api(leader)
    before = scrape(leader)
    for number in range(20):
        api.put(b"k%d" % number, b"v" * 1000)
    after = scrape(leader)

    def grown(name: str, labels: str = "") -> float:
        return after[name][labels] - before.get(name, {}).get(labels, 0.0)

    put = '{grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"}'
    put_ok = put[:1] + 'grpc_code="OK",' + put[1:]
    assert grown("grpc_server_started_total", put) == 20
    assert grown("grpc_server_handled_total", put_ok) == 20
    assert grown("grpc_server_handling_seconds_count", put) == 20
    assert grown("etcd_server_proposals_committed_total") >= 20
    assert grown("etcd_server_proposals_applied_total") >= 20
    assert grown("etcd_disk_wal_fsync_duration_seconds_count") >= 20
    assert grown("etcd_server_apply_duration_seconds_count", _APPLIED) >= 20
    assert grown("etcd_mvcc_put_total") == 20
    assert grown("etcd_network_client_grpc_received_bytes_total") > 20_000
    for peer in after["etcd_network_peer_sent_bytes_total"]:
        assert grown("etcd_network_peer_sent_bytes_total", peer) > 20_000
    leading = [scrape(m)["etcd_server_is_leader"][""] for m in cluster.members]
    assert sorted(leading) == [0.0, 0.0, 1.0]
    assert after["etcd_debugging_mvcc_current_revision"][""] == 21
    assert after["process_resident_memory_bytes"][""] > 1 << 20
    assert 0 < after["os_fd_used"][""] < after["os_fd_limit"][""]


_APPLIED = '{op="Entry",success="true",version="v3"}'


@pytest.mark.raftkv_only
def test_the_metrics_port_has_nothing_else(cluster: Cluster) -> None:
    """/metrics and the health checks are there; the API and /version are not."""
    for path in ("/metrics", "/health", "/livez", "/readyz/serializable_read"):
        assert fetch(METRICS_PORT, path)[0] == 200, path
    for path in ("/version", "/v3/kv/range", "/debug/pprof/heap", "/"):
        assert fetch(METRICS_PORT, path)[0] == 404, path


@pytest.mark.raftkv_only
def test_profiles(cluster: Cluster) -> None:
    """A second of the loop's stacks as folded text, and what is on the heap."""
    port = cluster.leader().addresses.client_port
    status, profile = fetch(port, "/debug/pprof/profile?seconds=1")
    assert status == 200
    stacks = [line.rpartition(" ") for line in profile.splitlines()]
    assert 10 <= sum(int(number) for _, _, number in stacks) <= 100
    assert all("raftkv.cli.process:run" in stack for stack, _, _ in stacks)
    assert fetch(port, "/debug/pprof/profile?seconds=9999")[0] == 400
    status, heap = fetch(port, "/debug/pprof/heap")
    assert status == 200
    assert "objects bytes type" in heap


@pytest.mark.raftkv_only
def test_the_log_is_etcds(cluster: Cluster) -> None:
    """Every line is an object of zap's shape; the well-known lines are there; none is an error."""
    cluster.wait_alike()
    follower = cluster.follower()
    assert follower.stop() == 0
    lines = [json.loads(line) for line in follower.log_text().splitlines()]
    for line in lines:
        assert list(line)[:4] == ["level", "ts", "caller", "msg"], line
        assert line["level"] in ("debug", "info", "warn"), line
    messages = [line["msg"] for line in lines]
    expected = [
        "starting an etcd server",
        "ready to serve client requests",
        "serving client traffic insecurely; this is strongly discouraged!",
        "received signal; shutting down",
        "closing etcd server",
        "closed etcd server",
    ]
    assert [message for message in messages if message in expected] == expected
    assert "published local member to cluster through raft" in messages
    slow = [
        line
        for member in cluster.members
        for line in map(json.loads, Path(member.log_path).read_text().splitlines())
        if line["msg"] == "request stats"
    ]
    assert slow
    assert {"start time", "time spent", "remote", "response type", "response size"} <= set(slow[0])
    follower.start()
    follower.wait_healthy()


def test_version_is_printed_as_etcds() -> None:
    """Scripts take the first line apart, and look for four."""
    program = program_under_test()
    told = subprocess.run(
        [*program.command, "--version"], capture_output=True, text=True, timeout=30, check=True
    ).stdout.splitlines()
    assert re.fullmatch(r"etcd Version: \d+\.\d+\.\d+", told[0])
    assert [line.partition(":")[0] for line in told] == [
        "etcd Version",
        "Git SHA",
        "Go Version",
        "Go OS/Arch",
    ]
