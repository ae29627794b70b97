"""The values of the operation flags as Operations.

Owns: what one of them means for another, and the refusals that need two. Must never do: read
flags; ``settings`` has parsed each by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from raftkv.cli.operation_flags import FEATURE_GATES, gates_of, shares_of
from raftkv.errors import ConfigError
from raftkv.server.config import Limits
from raftkv.server.operations import (
    STDERR,
    STDOUT,
    AccessSettings,
    HealingSettings,
    LogSettings,
    Operations,
    Rotation,
    TracingSettings,
)

_MB = 1 << 20
_ROTATION: dict[str, type[int]] = {
    "maxsize": int, "maxage": int, "maxbackups": int, "localtime": bool, "compress": bool,
}  # fmt: skip


def operations_of(values: Mapping[str, Any]) -> Operations:
    """Raises ConfigError."""
    gates = {name: default for name, (default, _) in FEATURE_GATES.items()}
    gates |= gates_of(str(values["feature-gates"]))
    checks_first = bool(values["initial-corrupt-check"]) or gates["InitialCorruptCheck"]
    gates["InitialCorruptCheck"] = checks_first
    compact_check_s = float(values["compact-hash-check-time"])
    if gates["CompactHashCheck"] and compact_check_s <= 0:
        raise ConfigError("--compact-hash-check-time must be above 0 with CompactHashCheck")
    return Operations(
        log=log_settings_of(values),
        initial_corrupt_check=checks_first,
        corrupt_check_interval_s=values["corrupt-check-time"],
        compact_hash_check_interval_s=compact_check_s if gates["CompactHashCheck"] else 0.0,
        healing=HealingSettings(
            is_on=bool(values["self-heal"]),
            state_check_interval_s=values["state-check-interval"],
            scrub_interval_s=values["scrub-interval"],
        ),
        warning_apply_s=values["warning-apply-duration"],
        warning_unary_request_s=values["warning-unary-request-duration"],
        concurrent_streams_max=_above_0(values, "max-concurrent-streams"),
        keepalive_min_time_s=values["grpc-keepalive-min-time"],
        keepalive_interval_s=_above_0(values, "grpc-keepalive-interval"),
        keepalive_timeout_s=_above_0(values, "grpc-keepalive-timeout"),
        reuse_port=bool(values["socket-reuse-port"]),
        extensive_metrics=values["metrics"] == "extensive",
        serves_profiles=bool(values["enable-pprof"]),
        access=_access_of(values),
        finds_talkers=bool(values["enable-top-talkers"]),
        talker_keys=str(values["access-log-keys"]),
        tracing=_tracing_of(values),
        fsync=not values["unsafe-no-fsync"],
        auto_defrag=bool(values["auto-defrag"]),
        feature_gates=gates,
    )


def limits_with(limits: Limits, values: Mapping[str, Any]) -> Limits:
    """``limits`` with what an operator may set of them. Raises ConfigError."""
    interval_s = values["backend-batch-interval"]
    return replace(
        limits,
        backend_commit_interval_s=interval_s or limits.backend_commit_interval_s,
        compaction_records_per_step=_above_0(values, "compaction-batch-limit"),
    )


def log_settings_of(values: Mapping[str, Any]) -> LogSettings:
    """Raises ConfigError."""
    given = [output.strip() for output in str(values["log-outputs"]).split(",")]
    if not all(given):
        raise ConfigError("--log-outputs must name stderr, stdout or paths, with commas between")
    if "default" in given and len(given) > 1:
        raise ConfigError("--log-outputs: 'default' cannot be combined with other outputs")
    if "systemd/journal" in given:
        raise ConfigError("--log-outputs: write to stderr, which systemd takes into its journal")
    outputs = tuple(dict.fromkeys(STDERR if o in ("default", STDERR) else o for o in given))
    rotation = None
    if values["enable-log-rotation"]:
        if not any(map(_is_path, (*outputs, str(values["access-log"])))):
            raise ConfigError(
                "--enable-log-rotation needs a path in --log-outputs or in --access-log"
            )
        rotation = _rotation_of(str(values["log-rotation-config-json"]))
    return LogSettings(str(values["log-level"]), str(values["log-format"]), outputs, rotation)


def _is_path(output: str) -> bool:
    return output not in ("", STDERR, STDOUT)


def _access_of(values: Mapping[str, Any]) -> AccessSettings | None:
    output = str(values["access-log"])
    if not output:
        return None
    rotation = None
    if values["enable-log-rotation"] and _is_path(output):
        rotation = _rotation_of(str(values["log-rotation-config-json"]))
    shares = shares_of(str(values["access-log-sample"]))
    return AccessSettings(output, **shares, keys=str(values["access-log-keys"]), rotation=rotation)


def _tracing_of(values: Mapping[str, Any]) -> TracingSettings | None:
    if not values["enable-distributed-tracing"]:
        return None
    return TracingSettings(
        url=str(values["distributed-tracing-address"]),
        service_name=str(values["distributed-tracing-service-name"]),
        instance_id=str(values["distributed-tracing-instance-id"] or values["name"]),
        per_million=values["distributed-tracing-sampling-rate"],
    )


def _rotation_of(text: str) -> Rotation:
    try:
        given = json.loads(text)
    except ValueError as e:
        raise ConfigError(f"--log-rotation-config-json is no JSON: {e}") from None
    if not isinstance(given, dict):
        raise ConfigError("--log-rotation-config-json must be a JSON object")
    for name, value in dict[str, Any](given).items():
        kind = _ROTATION.get(name)
        if kind is None:
            raise ConfigError(
                f"--log-rotation-config-json: unknown field {name!r} "
                f"(known: {', '.join(_ROTATION)})"
            )
        if type(value) is not kind or value < 0:
            raise ConfigError(f"--log-rotation-config-json: {name} cannot be {value!r}")
    return Rotation(
        bytes_max=(given.get("maxsize", 0) or 100) * _MB,
        age_days_max=given.get("maxage", 0),
        backups_max=given.get("maxbackups", 0),
        local_time=given.get("localtime", False),
        compress=given.get("compress", False),
    )


def _above_0(values: Mapping[str, Any], name: str) -> Any:
    value = values[name]
    if value <= 0:
        raise ConfigError(f"--{name} must be above 0, got {value}")
    return value
