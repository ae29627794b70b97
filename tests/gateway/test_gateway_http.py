"""/health, /version and /metrics, against etcd's contract."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from raftkv import ETCD_VERSION
from raftkv.gateway.health_source import Trouble
from raftkv.gateway.http import HttpGateway
from raftkv.gateway.json_api import JsonApi
from raftkv.gateway.member_observer import MemberObserver
from raftkv.gateway.metrics import Metrics, MetricsSnapshot
from raftkv.wire.service import HttpRequest, HttpResponse


class Source:
    """A member that is as healthy as the test says."""

    def __init__(self) -> None:
        self.raised: list[str] = []
        self.leader = True
        self.failure: str | None = None
        self.version: str | None = ETCD_VERSION
        self.asked_serializable: bool | None = None
        self.learner = False

    async def alarms(self) -> Sequence[str]:
        return self.raised

    def has_leader(self) -> bool:
        return self.leader

    async def check_read(self, *, serializable: bool) -> Trouble | None:
        self.asked_serializable = serializable
        return None if self.failure is None else Trouble("request_timeout", self.failure)

    def is_committing(self) -> bool:
        return False

    def disk_stall_s(self) -> float:
        return 0.0

    def is_learner(self) -> bool:
        return self.learner

    def cluster_version(self) -> str | None:
        return self.version


@pytest.fixture
def source() -> Source:
    return Source()


async def ask(source: Source, target: str, method: str = "GET") -> HttpResponse:
    gateway = HttpGateway(source, lambda: b"metrics\n", JsonApi(()))
    return await gateway(HttpRequest(method, target, {}, b""))


async def test_a_target_that_is_no_url(source: Source) -> None:
    """A bracket without its other half is a path that is not served."""
    response = await ask(source, "//[")
    assert response.status == 404


async def test_healthy(source: Source) -> None:
    """A healthy member says so in etcd's own bytes."""
    response = await ask(source, "/health")
    assert (response.status, response.body) == (200, b'{"health":"true","reason":""}')
    assert source.asked_serializable is False


async def test_serializable_health(source: Source) -> None:
    """?serializable=true asks for a local read."""
    await ask(source, "/health?serializable=true")
    assert source.asked_serializable is True


async def test_alarm(source: Source) -> None:
    """Any alarm fails the health check unless it is excluded."""
    source.raised = ["NOSPACE"]
    response = await ask(source, "/health")
    assert response.status == 503
    assert json.loads(response.body) == {"health": "false", "reason": "ALARM NOSPACE"}
    assert (await ask(source, "/health?exclude=NOSPACE")).status == 200
    source.raised = ["NOSPACE", "CORRUPT"]
    response = await ask(source, "/health?exclude=NOSPACE")
    assert json.loads(response.body)["reason"] == "ALARM CORRUPT"


async def test_no_leader(source: Source) -> None:
    """Without a leader there is no health, whatever a read would say."""
    source.leader = False
    response = await ask(source, "/health")
    assert (response.status, json.loads(response.body)["reason"]) == (503, "RAFT NO LEADER")


async def test_failed_read(source: Source) -> None:
    """A failed read is quoted."""
    source.failure = "etcdserver: request timed out"
    response = await ask(source, "/health")
    assert json.loads(response.body)["reason"] == "RANGE ERROR:etcdserver: request timed out"


async def test_version(source: Source) -> None:
    """/version names this server and what the cluster agreed on."""
    response = await ask(source, "/version")
    assert json.loads(response.body) == dict.fromkeys(
        ("etcdserver", "etcdcluster", "storage"), ETCD_VERSION
    )
    source.version = None
    versions = json.loads((await ask(source, "/version")).body)
    assert (versions["etcdcluster"], versions["storage"]) == ("not_decided", "unknown")


@pytest.mark.parametrize("path", ["/", "/nope", "/healthy", "/v4/kv/range"])
async def test_unknown_path(source: Source, path: str) -> None:
    """What is not there is 404."""
    assert (await ask(source, path)).status == 404


@pytest.mark.parametrize("path", ["/health", "/version", "/metrics"])
async def test_only_get(source: Source, path: str) -> None:
    """These paths are for reading."""
    response = await ask(source, path, "POST")
    assert (response.status, response.headers["allow"]) == (405, "GET")


async def test_metrics_path(source: Source) -> None:
    """/metrics renders what it was given, as Prometheus text."""
    response = await ask(source, "/metrics")
    assert response.body == b"metrics\n"
    assert response.content_type.startswith("text/plain; version=0.0.4")


NAMES = [
    "etcd_server_has_leader",
    "etcd_server_is_leader",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_committed_total",
    "etcd_server_proposals_applied_total",
    "etcd_server_proposals_pending",
    "etcd_server_proposals_failed_total",
    "etcd_mvcc_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "etcd_disk_wal_fsync_duration_seconds_bucket",
    "etcd_disk_backend_commit_duration_seconds_bucket",
    "etcd_debugging_mvcc_current_revision",
    "etcd_debugging_mvcc_compact_revision",
    "etcd_debugging_mvcc_watcher_total",
    "etcd_debugging_mvcc_slow_watcher_total",
    "etcd_debugging_mvcc_keys_total",
    "etcd_network_client_grpc_sent_bytes_total",
    "etcd_network_client_grpc_received_bytes_total",
    "process_resident_memory_bytes",
    "process_open_fds",
]


def test_metric_names_are_etcds() -> None:
    """Every name a dashboard for etcd asks for is there, with the snapshot's value."""
    metrics = Metrics(lambda: MetricsSnapshot(has_leader=True, keys=7, current_revision=12))
    MemberObserver(metrics.registry, 0.1).fsync_seconds(0.003)
    text = metrics.render().decode()
    lines = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if line[:1] != "#"}
    assert set(NAMES) <= lines
    assert "etcd_server_has_leader 1.0\n" in text
    assert "etcd_debugging_mvcc_keys_total 7.0\n" in text
    assert "etcd_debugging_mvcc_current_revision 12.0\n" in text
    assert 'etcd_disk_wal_fsync_duration_seconds_bucket{le="0.004"} 1.0\n' in text
    assert 'le="8.192"' in text


def test_snapshot_is_taken_at_scrape() -> None:
    """Nothing is asked of the member until somebody scrapes."""
    asked: list[int] = []

    def snapshot() -> MetricsSnapshot:
        asked.append(1)
        return MetricsSnapshot(leader_changes=len(asked))

    metrics = Metrics(snapshot)
    assert asked == []
    assert b"etcd_server_leader_changes_seen_total 1.0" in metrics.render()
    assert b"etcd_server_leader_changes_seen_total 2.0" in metrics.render()
