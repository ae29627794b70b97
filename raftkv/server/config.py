"""What a member is told before it starts, and every limit that it holds to.

Owns: ServerConfig and its checks. Must never do: read flags, files or the environment
(``raftkv.cli`` does), or change after start. Defaults are etcd's where etcd has the setting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

from raftkv.auth.passwords import COST_MAX, COST_MIN
from raftkv.errors import ConfigError
from raftkv.server.operations import Operations
from raftkv.tls.settings import NO_CLIENT_TLS, NO_PEER_TLS, TlsSettings

KiB = 1024
MiB = 1024 * KiB

ELECTION_TIMEOUT_MS_MAX = 50_000

PROMOTE_ADDED, PROMOTE_ALL, PROMOTE_NONE = PROMOTES = ("added", "all", "none")
"""Who gets a vote once it has caught up: who was added as a voter, learners too, or nobody, so that
whoever is added as a voter is one at once."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or to call: ``scheme`` is http or https, ``host`` a name or an IP. With unix
    or unixs (TLS) ``host`` is the socket's path and ``port`` 0."""

    host: str
    port: int
    scheme: str = "http"

    @property
    def is_unix(self) -> bool:
        return self.scheme in ("unix", "unixs")

    @property
    def is_tls(self) -> bool:
        return self.scheme in ("https", "unixs")

    @property
    def place(self) -> tuple[str, int] | str:
        """Host and port, or a unix socket's path."""
        return self.host if self.is_unix else (self.host, self.port)

    @property
    def url(self) -> str:
        if self.is_unix:
            return f"{self.scheme}://{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UiSettings:
    """The web page of a member. ``local_control`` is the control socket of the `raftkv local` that
    has started it, "" for none."""

    listen: Address | None = None
    allow_remote: bool = False
    local_control: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of every queue, batch and wait in the server. A name ends in its unit or in _max."""

    request_bytes_max: int = 1536 * KiB
    txn_ops_max: int = 128
    batch_bytes_max: int = 1 * MiB
    """A turn's proposals fill one log entry up to this size (one request may exceed it)."""
    pending_requests_max: int = 20_000
    """Proposals and reads waiting at one member; beyond it clients get "too many requests"."""
    pending_bytes_max: int = 256 * MiB
    uncommitted_bytes_max: int = 256 * MiB
    inflight_messages_max: int = 256
    message_bytes_max: int = 1 * MiB
    committed_bytes_max: int = 4 * MiB
    catchup_entries: int = 5_000
    catchup_bytes_max: int = 64 * MiB
    snapshot_bytes_max: int = 128 * MiB
    """The in-memory log is compacted once it holds this many bytes, whatever its entry count."""
    wal_segment_bytes: int = 64 * MiB
    """A segment that has grown to this size is followed by a new one."""
    backend_commit_interval_s: float = 5.0
    backend_commit_bytes_max: int = 64 * MiB
    quarantine_backlog_bytes_max: int = 64 * MiB
    """Entries that are committed while this member's data is wrong; beyond it they leave the memory
    and stay in the log's files."""
    defrag_bytes_min: int = 256 * MiB
    """A smaller database file is never defragmented without being asked."""
    defrag_turn_entries: int = 10_000
    compaction_records_per_step: int = 500
    hash_records_per_step: int = 1_000
    measured_records_per_step: int = 250
    catch_up_revisions_per_step: int = 1_000
    watch_backlog_bytes_max: int = 4 * MiB
    """Bytes queued on one watch stream beyond which its watchers fall back to reading history."""
    watch_backlogs_bytes_max: int = 256 * MiB
    """The same for all streams together, in equal shares."""
    watch_backlog_bytes_min: int = 128 * KiB
    """However many streams there are, each may have this much queued."""
    peer_queue_bytes_max: int = 64 * MiB
    lease_checkpoint_interval_s: float = 300.0
    """How often a leader logs what is left of a lease that is longer than this."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One member's settings. ``initial_cluster`` maps each member's name to its peer URLs."""

    name: str = "default"
    data_dir: str = "default.etcd"
    wal_dir: str = ""
    listen_client: tuple[Address, ...] = (Address("localhost", 2379),)
    advertise_client_urls: tuple[str, ...] = ("http://localhost:2379",)
    listen_peer: tuple[Address, ...] = (Address("localhost", 2380),)
    initial_advertise_peer_urls: tuple[str, ...] = ("http://localhost:2380",)
    initial_cluster: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {"default": ("http://localhost:2380",)}
    )
    initial_cluster_token: str = "etcd-cluster"
    initial_cluster_state: str = "new"
    heartbeat_interval_ms: int = 100
    election_timeout_ms: int = 1000
    snapshot_count: int = 10_000
    pre_vote: bool = True
    strict_reconfig_check: bool = True
    learners_max: int = 1
    auto_promote_learners: str = PROMOTE_ADDED
    observer: bool = False
    """As long as this member is a learner it serves what a voter does."""
    force_new_cluster: bool = False
    watch_progress_notify_interval_s: float = 600.0
    auto_compaction_period_s: float = 0.0
    auto_compaction_revisions: int = 0
    """What history to keep: by time or by number; 0 is for ever."""
    quota_backend_bytes: int = 0
    """0: etcd's default of 2 GiB; below 0: none."""
    listen_metrics: tuple[Address, ...] = ()
    operations: Operations = field(default_factory=Operations)
    client_tls: TlsSettings = NO_CLIENT_TLS
    peer_tls: TlsSettings = NO_PEER_TLS
    listen_client_http: tuple[Address, ...] = ()
    """Where HTTP is served; none: on the ports of gRPC."""
    grpc_gateway: bool = True
    cors: frozenset[str] = frozenset("*")
    host_whitelist: frozenset[str] = frozenset("*")
    """Names in Host that plain HTTP answers to."""
    auth_token: str = "simple"
    """Which tokens a login gets: "simple", or "jwt," and its options."""
    auth_token_ttl_s: int = 300
    """How long a simple token lives on after its last use."""
    bcrypt_cost: int = 10
    ui: UiSettings = UiSettings()
    limits: Limits = Limits()

    def validate(self) -> None:
        """Raise ConfigError with one line that names the setting, the value and the bound."""
        if self.heartbeat_interval_ms <= 0:
            raise ConfigError(
                f"--heartbeat-interval must be above 0 ms, got {self.heartbeat_interval_ms}"
            )
        if self.election_timeout_ms < 5 * self.heartbeat_interval_ms:
            raise ConfigError(
                f"--election-timeout[{self.election_timeout_ms}ms] should be at least as 5 times "
                f"as --heartbeat-interval[{self.heartbeat_interval_ms}ms]"
            )
        if self.election_timeout_ms > ELECTION_TIMEOUT_MS_MAX:
            raise ConfigError(
                f"--election-timeout[{self.election_timeout_ms}ms] is too long, and should be set "
                f"less than {ELECTION_TIMEOUT_MS_MAX}ms"
            )
        if self.name not in self.initial_cluster:
            raise ConfigError(
                f"couldn't find local name {self.name!r} in the initial cluster configuration: "
                f"--initial-cluster names {', '.join(sorted(self.initial_cluster))}"
            )
        mine = sorted(self.initial_cluster[self.name])
        if mine != sorted(self.initial_advertise_peer_urls):
            raise ConfigError(
                f"--initial-cluster has {self.name}={','.join(mine)} but "
                f"--initial-advertise-peer-urls is {','.join(self.initial_advertise_peer_urls)}"
            )
        if self.initial_cluster_state not in ("new", "existing"):
            raise ConfigError(
                f"--initial-cluster-state must be new or existing, got "
                f"{self.initial_cluster_state!r}"
            )
        if self.auto_promote_learners not in PROMOTES:
            raise ConfigError(
                f"--auto-promote-learners must be one of {', '.join(PROMOTES)}, got "
                f"{self.auto_promote_learners!r}"
            )
        if self.snapshot_count <= 0:
            raise ConfigError(f"--snapshot-count must be above 0, got {self.snapshot_count}")
        if self.auth_token_ttl_s <= 0:
            raise ConfigError(f"--auth-token-ttl must be above 0 s, got {self.auth_token_ttl_s}")
        if not COST_MIN <= self.bcrypt_cost <= COST_MAX:
            raise ConfigError(
                f"--bcrypt-cost must be from {COST_MIN} to {COST_MAX}, got {self.bcrypt_cost}"
            )

    @property
    def election_timeout_ticks(self) -> int:
        return self.election_timeout_ms // self.heartbeat_interval_ms

    @property
    def lease_ttl_min_s(self) -> int:
        """The shortest lease: etcd's one and a half election timeouts, in whole seconds. A shorter
        one would end while the cluster finds a new leader."""
        return ceil(3 * self.election_timeout_ticks // 2 * self.heartbeat_interval_ms / 1000)

    @property
    def request_timeout_s(self) -> float:
        """How long a request may wait for its commit: etcd's 5 s and two election timeouts."""
        return 5.0 + 2 * self.election_timeout_ms / 1000
