"""etcd's flags, as data.

Owns: every flag's name, default and parser, and which of etcd's flags are not served yet. Must
never do: read the environment or a file; ``settings`` does. Names, defaults and meaning are
etcd's (server/embed/config.go and etcdmain/config.go).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from raftkv.errors import ConfigError
from raftkv.server.config import Address

Parsed = (
    str | int | bool | float | tuple[Address, ...] | tuple[str, ...] | dict[str, tuple[str, ...]]
)
_TRUE = frozenset({"1", "t", "true"})
_FALSE = frozenset({"0", "f", "false"})
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Flag:
    """``parse`` raises ValueError with the reason."""

    name: str
    default: str
    parse: Callable[[str], Parsed]
    help: str
    is_boolean: bool = False
    """Stands for true when it is given without a value."""

    @property
    def variable(self) -> str:
        return "ETCD_" + self.name.upper().replace("-", "_")


def parse_bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError("true or false is expected")


def parse_int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number is expected") from None


def parse_duration(text: str) -> float:
    """Go's durations: 100ms, 1m30s, 10m. In seconds."""
    rest, total = text, 0.0
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        unit_end = digits + len(rest[digits:]) - len(rest[digits:].lstrip("nuµmsh"))
        unit = rest[digits:unit_end]
        if not digits or unit not in _UNITS_S:
            raise ValueError("a duration such as 100ms, 5s or 10m is expected")
        total += float(rest[:digits]) * _UNITS_S[unit]
        rest = rest[unit_end:]
    if not text:
        raise ValueError("a duration is expected")
    return total


def parse_retention(mode: str, text: str) -> tuple[float, int]:
    """etcd's retention: (seconds, revisions), one of them 0. A bare number is hours in periodic
    mode."""
    if mode == "revision":
        number = parse_int(text)
        if number < 0:
            raise ValueError("a number of revisions is expected")
        return 0.0, number
    if text.isascii() and text.isdigit():
        return int(text) * 3600.0, 0
    return parse_duration(text), 0


def parse_address(url: str) -> Address:
    """A URL to listen on: http, a host that is an IP or localhost, and a port."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{url!r}: a URL such as http://127.0.0.1:2379 is expected")
    if parts.scheme == "https":
        raise ValueError(f"{url!r}: TLS is not served yet, use http")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as e:
        raise ValueError(f"{url!r}: {e}") from None
    if not host or port is None:
        raise ValueError(f"{url!r}: a host and a port are expected")
    if parts.path not in ("", "/"):
        raise ValueError(f"{url!r}: a URL without a path is expected")
    return Address(host, port, parts.scheme)


def parse_listen(text: str) -> tuple[Address, ...]:
    addresses = tuple(parse_address(url.strip()) for url in text.split(","))
    for address in addresses:
        if address.host != "localhost":
            try:
                ipaddress.ip_address(address.host)
            except ValueError:
                raise ValueError(
                    f"{address.host!r}: expected IP in URL for binding ({address.url})"
                ) from None
    return addresses


def parse_urls(text: str) -> tuple[str, ...]:
    return tuple(parse_address(url.strip()).url for url in text.split(","))


def parse_cluster(text: str) -> dict[str, tuple[str, ...]]:
    """name=url,name=url; a name may stand several times, once per URL."""
    urls: dict[str, tuple[str, ...]] = {}
    for pair in filter(None, text.split(",")):
        name, equals, url = pair.strip().partition("=")
        if not equals or not name:
            raise ValueError(f"{pair!r}: name=URL is expected")
        urls[name] = (*urls.get(name, ()), parse_address(url).url)
    if not urls:
        raise ValueError("at least one name=URL is expected")
    return urls


def one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"one of {', '.join(allowed)} is expected")
        return text

    return parse


FLAGS: tuple[Flag, ...] = (
    Flag("name", "default", str, "this member's name, as in --initial-cluster"),
    Flag("data-dir", "", str, "where the data is; ${name}.etcd by default"),
    Flag("wal-dir", "", str, "where the log is; in the data directory by default"),
    Flag("listen-client-urls", "http://localhost:2379", parse_listen, "client URLs to listen on"),
    Flag(
        "advertise-client-urls", "http://localhost:2379", parse_urls, "client URLs to tell others"
    ),
    Flag("listen-peer-urls", "http://localhost:2380", parse_listen, "peer URLs to listen on"),
    Flag(
        "initial-advertise-peer-urls",
        "http://localhost:2380",
        parse_urls,
        "peer URLs to tell the other members",
    ),
    Flag("initial-cluster", "", parse_cluster, "all members of a new cluster: name=URL,name=URL"),
    Flag("initial-cluster-token", "etcd-cluster", str, "tells clusters with equal URLs apart"),
    Flag("initial-cluster-state", "new", one_of("new", "existing"), "new or existing"),
    Flag("heartbeat-interval", "100", parse_int, "milliseconds between a leader's heartbeats"),
    Flag("election-timeout", "1000", parse_int, "milliseconds without a leader until an election"),
    Flag("snapshot-count", "10000", parse_int, "log entries between cuts of the log"),
    Flag("snapshot-catchup-entries", "5000", parse_int, "log entries kept for slow followers"),
    Flag("max-request-bytes", "1572864", parse_int, "the largest request"),
    Flag("max-txn-ops", "128", parse_int, "the most operations of one txn"),
    Flag(
        "quota-backend-bytes",
        "0",
        parse_int,
        "refuse writes beyond this size of the database; 0 is 2 GiB, below 0 no limit",
    ),
    Flag(
        "auto-compaction-mode",
        "periodic",
        one_of("periodic", "revision"),
        "keep history by time or by number of revisions",
    ),
    Flag(
        "auto-compaction-retention",
        "0",
        str,
        "how much history to keep: 5 (hours) or 30m, or a number of revisions; 0 is all",
    ),
    Flag("max-snapshots", "5", parse_int, "accepted; a member keeps no snapshot file for longer"),
    Flag("max-wals", "5", parse_int, "accepted; a log file goes once the database covers it"),
    Flag("pre-vote", "true", parse_bool, "ask first whether an election could be won", True),
    Flag("watch-progress-notify-interval", "10m", parse_duration, "between progress responses"),
    Flag(
        "log-level",
        "info",
        one_of("debug", "info", "warn", "error", "panic", "fatal"),
        "what to log",
    ),
    Flag("logger", "zap", one_of("zap"), "accepted for scripts; there is one logger"),
    Flag("log-outputs", "default", one_of("default", "stderr"), "where the log goes"),
    Flag(
        "strict-reconfig-check",
        "true",
        parse_bool,
        "refuse changes of members that would cost the quorum",
        True,
    ),
    Flag("max-learners", "1", parse_int, "the most learners in the cluster"),
    Flag(
        "force-new-cluster",
        "false",
        parse_bool,
        "make this member, with its data, the only one of its cluster",
        True,
    ),
    Flag(
        "auth-token",
        "simple",
        str,
        "what a login gives: simple, or jwt,pub-key=FILE,priv-key=FILE,sign-method=RS256,ttl=5m",
    ),
    Flag(
        "auth-token-ttl", "300", parse_int, "seconds that a simple token lives after its last use"
    ),
    Flag("bcrypt-cost", "10", parse_int, "how dear it is to hash a password, from 4 to 31"),
)
"""What a member understands."""

NOT_YET: dict[str, str] = {
    "listen-client-http-urls": "", "listen-metrics-urls": "",
    "max-concurrent-streams": "4294967295",
    "grpc-keepalive-min-time": "5s", "grpc-keepalive-interval": "2h",
    "grpc-keepalive-timeout": "20s", "backend-batch-interval": "0", "backend-batch-limit": "0",
    "backend-bbolt-freelist-type": "map", "socket-reuse-port": "false",
    "socket-reuse-address": "false", "enable-grpc-gateway": "true", "feature-gates": "",
    "memory-mlock": "false", "discovery-endpoints": "", "discovery-token": "",
    "discovery-srv": "",
    "unsafe-no-fsync": "false", "cert-file": "", "key-file": "",
    "trusted-ca-file": "", "client-cert-auth": "false", "client-cert-file": "",
    "client-key-file": "", "client-crl-file": "", "client-cert-allowed-hostname": "",
    "auto-tls": "false", "cipher-suites": "", "tls-min-version": "TLS1.2", "tls-max-version": "",
    "self-signed-cert-validity": "1", "cors": "*", "host-whitelist": "*", "peer-cert-file": "",
    "peer-key-file": "", "peer-trusted-ca-file": "", "peer-client-cert-auth": "false",
    "peer-auto-tls": "false", "peer-cert-allowed-cn": "", "peer-cert-allowed-hostname": "",
    "peer-crl-file": "", "peer-client-cert-file": "", "peer-client-key-file": "",
    "peer-skip-client-san-verification": "false",
    "log-format": "json", "enable-log-rotation": "false",
    "metrics": "basic", "enable-pprof": "false", "enable-distributed-tracing": "false",
    "distributed-tracing-address": "localhost:4317", "distributed-tracing-service-name": "etcd",
    "distributed-tracing-instance-id": "", "distributed-tracing-sampling-rate": "0",
    "initial-corrupt-check": "false", "corrupt-check-time": "0s", "compact-hash-check-time": "1m",
    "compact-hash-check-enabled": "false", "compaction-batch-limit": "1000",
    "compaction-sleep-interval": "10ms", "warning-apply-duration": "100ms",
    "warning-unary-request-duration": "300ms", "downgrade-check-time": "5s",
    "enable-v2": "false",
}  # fmt: skip
"""etcd's flags that are not served yet, with their defaults: the default is accepted, since it
asks for nothing, and any other value is refused rather than ignored."""


def flag_named(name: str) -> Flag | None:
    """The flag, also one that is not served yet. None for an unknown name."""
    for flag in FLAGS:
        if flag.name == name:
            return flag
    if name not in NOT_YET:
        return None
    default = NOT_YET[name]

    def refuse(text: str) -> str:
        if text != default:
            raise ValueError(
                f"this flag of etcd is not served yet (only its default {default!r} is accepted)"
            )
        return text

    return Flag(name, default, refuse, "", is_boolean=default in ("true", "false"))


def parse_value(flag: Flag, text: str, source: str) -> Parsed:
    """Raises ConfigError that names the flag, the value and what is wrong."""
    try:
        return flag.parse(text)
    except ValueError as e:
        raise ConfigError(f"invalid value {text!r} for {source}: {e}") from None
