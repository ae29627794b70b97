"""What an operator sets beside the cluster: checks, the log, metrics, sockets, warnings.

Owns: Operations, which ``config.ServerConfig`` carries. Must never do: parse; ``raftkv.cli`` does.
Defaults are etcd's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

STDERR = "stderr"
STDOUT = "stdout"


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a log file is followed by a new one, and which old ones stay: 0 is without limit."""

    bytes_max: int = 100 << 20
    age_days_max: int = 0
    backups_max: int = 0
    local_time: bool = False
    compress: bool = False


@dataclass(frozen=True, slots=True)
class LogSettings:
    """``outputs`` are STDERR, STDOUT or paths. Without ``rotation`` a file just grows."""

    level: str = "info"
    format: str = "json"
    outputs: tuple[str, ...] = (STDERR,)
    rotation: Rotation | None = None


@dataclass(frozen=True, slots=True)
class HealingSettings:
    """Whether a member that finds its data wrong replaces it by a peer's, how often the leader
    compares digests, and for how long the scrub rests between two walks; 0 is never."""

    is_on: bool = True
    state_check_interval_s: float = 1.0
    scrub_interval_s: float = 600.0


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """``output`` is STDERR, STDOUT or a path; ``reads`` and ``writes`` are the shares of calls that
    get a line, ``keys`` how their keys are shown: plain, hash or none."""

    output: str
    reads: float = 1.0
    writes: float = 1.0
    keys: str = "plain"
    rotation: Rotation | None = None


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Where spans go, and as whose; ``per_million`` of the calls that nobody traces yet."""

    url: str
    service_name: str = "etcd"
    instance_id: str = ""
    per_million: int = 0


@dataclass(frozen=True, slots=True)
class Operations:
    """Times are seconds; 0 switches a check off."""

    log: LogSettings = LogSettings()
    initial_corrupt_check: bool = False
    corrupt_check_interval_s: float = 0.0
    compact_hash_check_interval_s: float = 0.0
    healing: HealingSettings = HealingSettings()
    warning_apply_s: float = 0.1
    warning_unary_request_s: float = 0.3
    concurrent_streams_max: int = 4_294_967_295
    keepalive_min_time_s: float = 5.0
    keepalive_interval_s: float = 7_200.0
    keepalive_timeout_s: float = 20.0
    reuse_port: bool = False
    extensive_metrics: bool = False
    serves_profiles: bool = False
    access: AccessSettings | None = None
    finds_talkers: bool = False
    talker_keys: str = "plain"
    tracing: TracingSettings | None = None
    fsync: bool = True
    auto_defrag: bool = True
    feature_gates: dict[str, bool] = field(default_factory=dict)
