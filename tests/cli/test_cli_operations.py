"""The operation flags: what each asks of a member, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raftkv.cli.flag import State
from raftkv.cli.flags import FLAGS
from raftkv.cli.observation import wire_limits
from raftkv.cli.operation_flags import FEATURE_GATES
from raftkv.cli.settings import read_settings
from raftkv.errors import ConfigError
from raftkv.server.operations import AccessSettings, Operations, Rotation, TracingSettings
from raftkv.wire.limits import WireLimits

DEFAULTS = read_settings([], {}).operations
ANY_OF_ETCDS = {"true": "true", "false": "true", "map": "array", "5s": "1m", "10ms": "1s"}


@pytest.mark.parametrize(
    ("flags", "meant"),
    [
        (["--corrupt-check-time=1m"], {"corrupt_check_interval_s": 60.0}),
        (["--self-heal=false"], {"healing": replace(DEFAULTS.healing, is_on=False)}),
        (
            ["--state-check-interval=5s"],
            {"healing": replace(DEFAULTS.healing, state_check_interval_s=5.0)},
        ),
        (["--scrub-interval=0"], {"healing": replace(DEFAULTS.healing, scrub_interval_s=0.0)}),
        (["--compact-hash-check-time=5s"], {}),  # nothing without its gate
        (["--warning-apply-duration=1s"], {"warning_apply_s": 1.0}),
        (["--warning-unary-request-duration=0s"], {"warning_unary_request_s": 0.0}),
        (["--max-concurrent-streams=100"], {"concurrent_streams_max": 100}),
        (["--grpc-keepalive-min-time=0"], {"keepalive_min_time_s": 0.0}),
        (["--grpc-keepalive-interval=1m"], {"keepalive_interval_s": 60.0}),
        (["--grpc-keepalive-timeout=1s"], {"keepalive_timeout_s": 1.0}),
        (["--socket-reuse-port"], {"reuse_port": True}),
        (["--metrics=extensive"], {"extensive_metrics": True}),
        (["--enable-pprof"], {"serves_profiles": True}),
        (["--unsafe-no-fsync"], {"fsync": False}),
        (
            ["--initial-corrupt-check"],
            {
                "initial_corrupt_check": True,
                "feature_gates": DEFAULTS.feature_gates | {"InitialCorruptCheck": True},
            },
        ),
        (
            ["--feature-gates=CompactHashCheck=true", "--compact-hash-check-time=5s"],
            {
                "compact_hash_check_interval_s": 5.0,
                "feature_gates": DEFAULTS.feature_gates | {"CompactHashCheck": True},
            },
        ),
    ],
)
def test_each_flag_is_one_setting(flags: list[str], meant: dict[str, Any]) -> None:
    """And changes no other."""
    assert read_settings(flags, {}).operations == replace(DEFAULTS, **meant)


def test_a_gate_is_as_good_as_its_flag() -> None:
    """InitialCorruptCheck and --initial-corrupt-check are one thing."""
    config = read_settings(["--feature-gates=InitialCorruptCheck=true"], {})
    assert config.operations == read_settings(["--initial-corrupt-check"], {}).operations
    everything = ",".join(f"{name}=true" for name in FEATURE_GATES)
    assert all(read_settings([f"--feature-gates={everything}"], {}).operations.feature_gates)


def test_a_file_has_them_too(tmp_path: Path) -> None:
    """Durations there are nanoseconds or Go's text, lists are lists, booleans are YAML's."""
    path = tmp_path / "etcd.yaml"
    path.write_text(
        "corrupt-check-time: 60000000000\ngrpc-keepalive-min-time: 3s\nenable-pprof: true\n"
        "log-outputs: [stdout, a.log]\nfeature-gates: InitialCorruptCheck=true\n"
    )
    operations = read_settings([f"--config-file={path}"], {}).operations
    assert operations.corrupt_check_interval_s == pytest.approx(60)
    assert operations.keepalive_min_time_s == 3.0
    assert operations.serves_profiles
    assert operations.initial_corrupt_check
    assert operations.log.outputs == ("stdout", "a.log")


def test_limits_that_an_operator_sets() -> None:
    """How often the database is committed, and how much a compaction does at a time."""
    assert read_settings([], {}).limits.backend_commit_interval_s == 5.0
    flags = ["--backend-batch-interval=100ms", "--compaction-batch-limit=50"]
    limits = read_settings(flags, {}).limits
    assert limits.backend_commit_interval_s == pytest.approx(0.1)
    assert limits.compaction_records_per_step == 50


def test_the_wire_keeps_its_own_bound_of_streams() -> None:
    """etcd's default is no bound at all; a connection still gets what the wire can bear."""
    wire = WireLimits()
    assert wire_limits(wire, Operations()).concurrent_streams_max == wire.concurrent_streams_max
    few = wire_limits(wire, Operations(concurrent_streams_max=7, keepalive_min_time_s=3.0))
    assert (few.concurrent_streams_max, few.ping_interval_seconds_min) == (7, 3.0)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--access-log=a.log"], AccessSettings("a.log")),
        (["--access-log=stderr", "--access-log-sample=0.5"], AccessSettings("stderr", 0.5, 0.5)),
        (
            ["--access-log=stderr", "--access-log-sample=reads=0.01", "--access-log-keys=hash"],
            AccessSettings("stderr", 0.01, 1.0, "hash"),
        ),
        (
            ["--access-log=a.log", "--enable-log-rotation"],
            AccessSettings("a.log", rotation=Rotation()),
        ),
    ],
)
def test_the_access_log_is_asked_for(given: list[str], meant: AccessSettings) -> None:
    """A path or a stream, shares of reads and writes, and rotation as of the log."""
    assert read_settings([], {}).operations.access is None
    assert read_settings(given, {}).operations.access == meant


def test_tracing_is_asked_for() -> None:
    """Off unless it is enabled; an address becomes a URL, and the member's name tells it apart."""
    assert read_settings(["--distributed-tracing-sampling-rate=9"], {}).operations.tracing is None
    given = ["--enable-distributed-tracing", "--name=m1", "--distributed-tracing-sampling-rate=9"]
    meant = TracingSettings("http://localhost:4318/v1/traces", "etcd", "m1", 9)
    assert read_settings(given, {}).operations.tracing == meant
    given.append("--distributed-tracing-address=https://collector:4318/otlp/v1/traces")
    found = read_settings(given, {}).operations.tracing
    assert found is not None
    assert found.url == "https://collector:4318/otlp/v1/traces"


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--feature-gates=NoSuchGate=true", "unrecognized feature gate: NoSuchGate"),
        ("--feature-gates=CompactHashCheck", "Name=true or Name=false"),
        ("--max-concurrent-streams=0", "--max-concurrent-streams must be above 0"),
        ("--grpc-keepalive-interval=0s", "--grpc-keepalive-interval must be above 0"),
        ("--compaction-batch-limit=0", "--compaction-batch-limit must be above 0"),
        ("--metrics=some", "one of basic, extensive"),
        ("--memory-mlock", "switch swap off instead"),
        ("--discovery-srv=example.org", "--initial-cluster"),
        ("--discovery-endpoints=http://127.0.0.1:1", "--initial-cluster"),
        ("--distributed-tracing-address=localhost:4317", "4318"),
        ("--distributed-tracing-address=http://", "host:port"),
        ("--distributed-tracing-sampling-rate=1000001", "from 0 to 1000000"),
        ("--access-log-sample=1.5", "a share from 0 to 1"),
        ("--access-log-sample=lists=0.5", "reads=SHARE,writes=SHARE"),
        ("--access-log-keys=base64", "one of plain, hash, none"),
        ("--listen-metrics-urls=http://example.org:1", "expected IP"),
        ("--enable-v2", "not defined"),
    ],
)
def test_refusals_are_one_line(flag: str, says: str) -> None:
    """Each names the flag or the gate and what is possible instead."""
    with pytest.raises(ConfigError, match=re.escape(says)) as raised:
        read_settings([flag], {})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "flag", [flag for flag in FLAGS if flag.state is State.ACCEPTED], ids=lambda flag: flag.name
)
def test_what_is_accepted_changes_nothing(flag: Any) -> None:
    """Another value of etcd's is taken, the settings are those without it, and --help says why."""
    value = ANY_OF_ETCDS.get(flag.default, flag.default and "7")
    config = read_settings(
        [f"--{flag.name}={flag.default if flag.name == 'logger' else value}"], {}
    )
    plain = read_settings([], {})
    assert config == plain
    assert flag.help.startswith("accepted;")
