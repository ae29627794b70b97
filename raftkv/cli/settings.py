"""From a command line, an environment and a file to a ServerConfig.

Owns: etcd's rules of precedence: a config file replaces everything else; a flag and a variable for
one name are refused together; unknown ETCD_ variables only warn. Must never do: touch the process's
own environment: it is passed in. Every mistake is one ConfigError with one line.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from raftkv.cli.flag import Flag, parse_duration
from raftkv.cli.flags import FLAGS, flag_named, parse_retention, parse_value
from raftkv.cli.operation_settings import limits_with, operations_of
from raftkv.cli.tls_settings import check_ports, client_tls, flatten, peer_tls
from raftkv.cli.ui_flags import ui_settings_of
from raftkv.errors import ConfigError
from raftkv.log_fields import fields
from raftkv.server.config import Limits, ServerConfig

log = logging.getLogger("raftkv.cli")

CONFIG_FILE = Flag("config-file", "", str, "read all settings from this YAML file instead")
_DURATIONS = frozenset(flag.name for flag in FLAGS if flag.parse is parse_duration)
_NOT_SETTINGS = frozenset({"ETCD_CONFIG_FILE"})


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> ServerConfig:
    """Raises ConfigError."""
    given = _from_arguments(arguments)
    path = given.pop(CONFIG_FILE.name, environment.get(CONFIG_FILE.variable, ""))
    if path:
        return _config(_from_file(path))
    for variable, text in environment.items():
        _take_variable(given, variable, text)
    return _config(given)


def _from_arguments(arguments: Sequence[str]) -> dict[str, str]:
    """Flags as Go's flag package reads them: -name or --name, =value or the next word."""
    given: dict[str, str] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word in ("-", "--"):
            raise ConfigError(f"{word!r} is not a valid flag")
        name, equals, value = word.lstrip("-").partition("=")
        flag = CONFIG_FILE if name == CONFIG_FILE.name else flag_named(name)
        if flag is None:
            raise ConfigError(f"flag provided but not defined: --{name}{_suggestion(name)}")
        if not equals and flag.is_boolean:
            value = "true"
        elif not equals:
            if not words:
                raise ConfigError(f"flag needs an argument: --{name}")
            value = words.pop(0)
        given[name] = value
    return given


def _suggestion(name: str) -> str:
    known = [flag.name for flag in FLAGS]
    close = difflib.get_close_matches(name, known, 1)
    return f" (did you mean --{close[0]}?)" if close else ""


def _take_variable(given: dict[str, str], variable: str, text: str) -> None:
    if not variable.startswith("ETCD_") or variable in _NOT_SETTINGS or not text:
        return
    name = variable.removeprefix("ETCD_").lower().replace("_", "-")
    if flag_named(name) is None:
        log.warning(
            "unrecognized environment variable",
            extra=fields(environment_variable=f"{variable}={text}"),
        )
    elif name in given:
        raise ConfigError(
            f"conflicting environment variable {variable!r} is shadowed by the flag "
            f"--{name}: either unset the variable or remove the flag"
        )
    else:
        given[name] = text


def _from_file(path: str) -> dict[str, str]:
    try:
        settings = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as e:
        reason = " ".join(str(e).split())
        raise ConfigError(f"cannot read --config-file {path}: {reason}") from None
    if not isinstance(settings, dict):
        raise ConfigError(f"--config-file {path} holds no settings of the form name: value")
    given = {}
    for name, value in flatten(path, settings).items():
        flag = flag_named(str(name))
        if flag is None:
            raise ConfigError(f"--config-file {path}: unknown setting {name}{_suggestion(name)}")
        if isinstance(value, bool):
            value = str(value).lower()
        elif name in _DURATIONS and isinstance(value, int):
            value = f"{value}ns"
        elif isinstance(value, list):
            value = ",".join(map(str, value))
        given[str(name)] = "" if value is None else str(value)
    return given


def _config(given: Mapping[str, str]) -> ServerConfig:
    values: dict[str, Any] = {}
    for name, text in given.items():
        flag = flag_named(name)
        assert flag is not None, name
        values[name] = parse_value(flag, text, f"--{name}")
    if "listen-client-urls" in given and "advertise-client-urls" not in given:
        raise ConfigError("--advertise-client-urls is required when --listen-client-urls is set")
    for flag in FLAGS:
        if flag.name not in values and flag.name != "initial-cluster":
            values[flag.name] = parse_value(flag, flag.default, f"the default of --{flag.name}")
    values.setdefault(
        "initial-cluster",
        {str(values["name"]): values["initial-advertise-peer-urls"]},
    )
    config = _build(values)
    config.validate()
    check_ports(config)
    return config


def _retention(values: Mapping[str, Any]) -> tuple[float, int]:
    mode, text = str(values["auto-compaction-mode"]), str(values["auto-compaction-retention"])
    try:
        return parse_retention(mode, text)
    except ValueError as e:
        raise ConfigError(f"invalid value {text!r} for --auto-compaction-retention: {e}") from None


def _build(values: Mapping[str, Any]) -> ServerConfig:
    name = str(values["name"])
    limits = Limits()
    for setting in ("max-request-bytes", "max-txn-ops", "snapshot-catchup-entries"):
        number = values[setting]
        if not isinstance(number, int) or number <= 0:
            raise ConfigError(f"--{setting} must be above 0, got {number}")
    limits = replace(
        limits,
        request_bytes_max=values["max-request-bytes"],
        txn_ops_max=values["max-txn-ops"],
        catchup_entries=values["snapshot-catchup-entries"],
    )
    period_s, revisions = _retention(values)
    return ServerConfig(
        name=name,
        data_dir=str(values["data-dir"] or f"{name}.etcd"),
        wal_dir=str(values["wal-dir"]),
        listen_client=values["listen-client-urls"],
        advertise_client_urls=values["advertise-client-urls"],
        listen_peer=values["listen-peer-urls"],
        initial_advertise_peer_urls=values["initial-advertise-peer-urls"],
        initial_cluster=values["initial-cluster"],
        initial_cluster_token=str(values["initial-cluster-token"]),
        initial_cluster_state=str(values["initial-cluster-state"]),
        heartbeat_interval_ms=values["heartbeat-interval"],
        election_timeout_ms=values["election-timeout"],
        snapshot_count=values["snapshot-count"],
        pre_vote=bool(values["pre-vote"]),
        strict_reconfig_check=bool(values["strict-reconfig-check"]),
        learners_max=values["max-learners"],
        auto_promote_learners=str(values["auto-promote-learners"]),
        observer=bool(values["observer"]),
        force_new_cluster=bool(values["force-new-cluster"]),
        watch_progress_notify_interval_s=values["watch-progress-notify-interval"],
        auto_compaction_period_s=period_s,
        auto_compaction_revisions=revisions,
        quota_backend_bytes=values["quota-backend-bytes"],
        listen_metrics=values["listen-metrics-urls"],
        operations=operations_of(values),
        limits=limits_with(limits, values),
        client_tls=client_tls(values),
        peer_tls=peer_tls(values),
        listen_client_http=values["listen-client-http-urls"],
        grpc_gateway=bool(values["enable-grpc-gateway"]),
        cors=values["cors"],
        host_whitelist=values["host-whitelist"],
        auth_token=str(values["auth-token"]),
        auth_token_ttl_s=values["auth-token-ttl"],
        bcrypt_cost=values["bcrypt-cost"],
        ui=ui_settings_of(values),
    )
