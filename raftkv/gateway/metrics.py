"""The member's Prometheus metrics, under etcd's names.

Owns: one ``CollectorRegistry`` and the numbers that are read from the member when somebody scrapes,
so that the request path pays nothing. ``member_observer``, ``call_metrics`` and ``peer_metrics``
add theirs to the registry.
Must never do: know the member; it is handed a function that returns a ``MetricsSnapshot``.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from raftkv.apply.batch import RequestKind
from raftkv.mvcc.prefix_quota import PrefixQuota

PYTHON = f"python{platform.python_version()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSnapshot:
    """The member's numbers at one moment."""

    has_leader: bool = False
    is_leader: bool = False
    is_learner: bool = False
    leader_changes: int = 0
    proposals_committed: int = 0
    proposals_applied: int = 0
    proposals_pending: int = 0
    proposals_failed: int = 0
    db_size_bytes: int = 0
    db_size_in_use_bytes: int = 0
    db_quota_bytes: int = 0
    current_revision: int = 0
    compact_revision: int = 0
    auth_revision: int = 0
    keys: int | None = None
    is_quarantined: bool = False
    quarantines: int = 0
    repairs: int = 0
    scrubbed_rows: int = 0
    scrub_passes: int = 0
    every_row_has_check: bool = False
    state_checks: int = 0
    live_bytes: int | None = None
    """What the quota is held against, once the cluster counts it."""
    top_prefixes: Sequence[tuple[bytes, int]] = ()
    """Beyond the soft level, with their estimated bytes."""
    prefix_quotas: Sequence[PrefixQuota] = ()
    watchers: int = 0
    slow_watchers: int = 0
    watch_streams: int = 0
    client_bytes_sent: int = 0
    client_bytes_received: int = 0
    member_id: int = 0
    server_version: str = ""
    cluster_version: str = ""
    applied: Mapping[int, int] = field(default_factory=dict)
    """Requests that had an effect, by RequestKind."""
    alarms: Sequence[tuple[int, str]] = ()
    """Who has which alarm."""
    features: Mapping[str, tuple[bool, str]] = field(default_factory=dict)
    """Gates: whether each is on, and its stage."""
    fds_used: int = 0
    fds_limit: int = 0


Gauge = tuple[str, str, Callable[[MetricsSnapshot], float]]

# Gauges and counters: name, help, value. A counter's name goes without its _total.
_GAUGES: tuple[Gauge, ...] = (
    ("etcd_server_has_leader", "Whether a leader is known.", lambda s: s.has_leader),
    ("etcd_server_is_leader", "Whether this member leads.", lambda s: s.is_leader),
    ("etcd_server_is_learner", "Whether this member is a learner.", lambda s: s.is_learner),
    (
        "etcd_server_proposals_committed_total",
        "The index of the last committed log entry.",
        lambda s: s.proposals_committed,
    ),
    (
        "etcd_server_proposals_applied_total",
        "The index of the last applied log entry.",
        lambda s: s.proposals_applied,
    ),
    (
        "etcd_server_proposals_pending",
        "Requests proposed and not answered yet.",
        lambda s: s.proposals_pending,
    ),
    (
        "raftkv_server_quarantined",
        "Whether this member's data is wrong, so that it serves nothing.",
        lambda s: s.is_quarantined,
    ),
    (
        "raftkv_server_every_row_has_check",
        "Whether every row carries its check, so that damage to any is found.",
        lambda s: s.every_row_has_check,
    ),
    ("etcd_server_quota_backend_bytes", "The database's quota.", lambda s: s.db_quota_bytes),
    (
        "etcd_mvcc_db_total_size_in_bytes",
        "Bytes allocated for the database.",
        lambda s: s.db_size_bytes,
    ),
    (
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "Bytes of the database in use.",
        lambda s: s.db_size_in_use_bytes,
    ),
    (
        "etcd_debugging_mvcc_current_revision",
        "The store's current revision.",
        lambda s: s.current_revision,
    ),
    (
        "etcd_debugging_mvcc_compact_revision",
        "The revision of the last compaction.",
        lambda s: s.compact_revision,
    ),
    (
        "etcd_debugging_auth_revision",
        "The revision of users and roles.",
        lambda s: s.auth_revision,
    ),
    ("etcd_debugging_mvcc_watcher_total", "Watchers.", lambda s: s.watchers),
    (
        "etcd_debugging_mvcc_slow_watcher_total",
        "Watchers that lag behind the store.",
        lambda s: s.slow_watchers,
    ),
    ("etcd_debugging_mvcc_watch_stream_total", "Watch streams.", lambda s: s.watch_streams),
    ("os_fd_used", "Open file descriptors.", lambda s: s.fds_used),
    ("os_fd_limit", "The most file descriptors.", lambda s: s.fds_limit),
)
# Requests that were applied, by kind: name, help, kind.
_APPLIED: tuple[tuple[str, str, RequestKind], ...] = (
    ("etcd_mvcc_put", "Puts applied, those in txns aside.", RequestKind.PUT),
    ("etcd_mvcc_delete", "Deletes applied, those in txns aside.", RequestKind.DELETE_RANGE),
    ("etcd_mvcc_txn", "Txns applied.", RequestKind.TXN),
    ("etcd_debugging_lease_granted", "Leases granted.", RequestKind.LEASE_GRANT),
    ("etcd_debugging_lease_revoked", "Leases revoked.", RequestKind.LEASE_REVOKE),
    ("etcd_debugging_server_lease_expired", "Leases expired.", RequestKind.LEASE_EXPIRY),
)
_PREFIX_GAUGES: tuple[tuple[str, str, Callable[[PrefixQuota], float]], ...] = (
    ("bytes", "The bytes that keys and values below a prefix may take.", lambda q: q.bytes_max),
    ("used_bytes", "The bytes that they take.", lambda q: q.bytes),
    ("keys", "How many keys there may be below a prefix.", lambda q: q.keys_max),
    ("used_keys", "How many there are.", lambda q: q.keys),
)
_COUNTERS: tuple[Gauge, ...] = (
    (
        "raftkv_server_quarantines",
        "Times that this member's data was found wrong.",
        lambda s: s.quarantines,
    ),
    (
        "raftkv_server_repairs",
        "Times that this member was given a peer's data.",
        lambda s: s.repairs,
    ),
    (
        "raftkv_server_scrubbed_rows",
        "Rows compared with their checks by the scrub.",
        lambda s: s.scrubbed_rows,
    ),
    (
        "raftkv_server_scrub_passes",
        "Walks through all rows that found nothing.",
        lambda s: s.scrub_passes,
    ),
    (
        "raftkv_server_state_checks",
        "Comparisons of all members' digests by this member as the leader.",
        lambda s: s.state_checks,
    ),
    (
        "etcd_server_leader_changes_seen",
        "Leader changes seen since the start.",
        lambda s: s.leader_changes,
    ),
    (
        "etcd_server_proposals_failed",
        "Requests that were proposed and failed.",
        lambda s: s.proposals_failed,
    ),
    (
        "etcd_network_client_grpc_sent_bytes",
        "Bytes sent to clients.",
        lambda s: s.client_bytes_sent,
    ),
    (
        "etcd_network_client_grpc_received_bytes",
        "Bytes received from clients.",
        lambda s: s.client_bytes_received,
    ),
)


class _MemberCollector(Collector):
    """Asks for a snapshot at every scrape."""

    def __init__(self, snapshot: Callable[[], MetricsSnapshot]) -> None:
        self._snapshot = snapshot

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering does not ask for a snapshot before there is a member."""
        return ()

    def collect(self) -> Iterable[Metric]:
        snapshot = self._snapshot()
        for name, text, value in _GAUGES:
            yield GaugeMetricFamily(name, text, value=value(snapshot))
        for name, text, value in _COUNTERS:
            yield CounterMetricFamily(name, text, value=value(snapshot))
        if snapshot.keys is not None:
            text = "Keys in the store."
            yield GaugeMetricFamily("etcd_debugging_mvcc_keys_total", text, value=snapshot.keys)
        text = "Bytes that the quota is held against."
        yield GaugeMetricFamily("raftkv_space_live_bytes", text, value=snapshot.live_bytes)
        yield _top_prefixes(snapshot.top_prefixes)
        yield from _prefix_quotas(snapshot.prefix_quotas)
        for name, text, kind in _APPLIED:
            yield CounterMetricFamily(name, text, value=snapshot.applied.get(int(kind), 0))
        yield _alarms(snapshot.alarms)
        yield _features(snapshot.features)
        yield _labelled("etcd_server_go_version", "server_go_version", PYTHON)
        yield _labelled("etcd_server_id", "server_id", f"{snapshot.member_id:x}")
        yield _labelled("etcd_server_version", "server_version", snapshot.server_version)
        yield _labelled("etcd_cluster_version", "cluster_version", snapshot.cluster_version)


def _labelled(name: str, label: str, value: str) -> Metric:
    """A gauge that is 1 and says something in its label."""
    family = GaugeMetricFamily(name, f"The {label} of this member.", labels=[label])
    family.add_metric([value], 1)
    return family


def _alarms(alarms: Sequence[tuple[int, str]]) -> Metric:
    labels = ["server_id", "alarm_type"]
    family = GaugeMetricFamily("etcd_debugging_server_alarms", "Raised alarms.", labels=labels)
    for member_id, kind in alarms:
        family.add_metric([f"{member_id:x}", kind], 1)
    return family


def _top_prefixes(prefixes: Sequence[tuple[bytes, int]]) -> Metric:
    text = "The largest prefixes by estimate, while more than 80 % of the quota are live."
    family = GaugeMetricFamily("raftkv_space_prefix_bytes", text, labels=["prefix"])
    for prefix, size in prefixes:
        family.add_metric([prefix.decode(errors="replace")], size)
    return family


def _prefix_quotas(quotas: Sequence[PrefixQuota]) -> Iterable[Metric]:
    for name, text, value in _PREFIX_GAUGES:
        family = GaugeMetricFamily(f"raftkv_prefix_quota_{name}", text, labels=["prefix"])
        for one in quotas:
            family.add_metric([one.prefix.decode(errors="replace")], value(one))
        yield family


def _features(features: Mapping[str, tuple[bool, str]]) -> Metric:
    labels = ["name", "stage"]
    family = GaugeMetricFamily("etcd_server_feature_enabled", "Feature gates.", labels=labels)
    for name, (is_on, stage) in features.items():
        family.add_metric([name, stage], is_on)
    return family


class Metrics:
    """The registry of one member."""

    def __init__(self, snapshot: Callable[[], MetricsSnapshot]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(_MemberCollector(snapshot))
        ProcessCollector(registry=self.registry)

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
