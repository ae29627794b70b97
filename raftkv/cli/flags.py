"""etcd's flags, as data.

Owns: every flag's name, default and parser, and which of etcd's flags are not served yet. Must
never do: read the environment or a file; ``settings`` does. Names, defaults and meaning are
etcd's (server/embed/config.go and etcdmain/config.go).
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from raftkv.errors import ConfigError
from raftkv.server.config import Address
from raftkv.wire.unix_socket import PATH_BYTES_MAX

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
    """A URL: http or https, a host and a port; or unix or unixs and a path."""
    parts = urlsplit(url)
    if parts.scheme in ("unix", "unixs"):
        return Address(_unix_path(url, parts.netloc + parts.path), 0, parts.scheme)
    if parts.scheme not in ("http", "https"):
        raise ValueError(
            f"{url!r}: a URL such as http://127.0.0.1:2379 is expected; its scheme must be http, "
            f"https, unix, or unixs"
        )
    try:
        host, port = parts.hostname, parts.port
    except ValueError as e:
        raise ValueError(f"{url!r}: {e}") from None
    if not host or port is None:
        raise ValueError(f"{url!r}: a host and a port are expected")
    if parts.path not in ("", "/"):
        raise ValueError(f"{url!r}: a URL without a path is expected")
    return Address(host, port, parts.scheme)


def _unix_path(url: str, path: str) -> str:
    """etcd takes host and path together as one path, relative to the working directory."""
    size = len(os.fsencode(path))
    if not path:
        raise ValueError(f"{url!r}: the path of a socket is expected")
    if size > PATH_BYTES_MAX:
        raise ValueError(
            f"{url!r}: the path of a unix socket has at most {PATH_BYTES_MAX} bytes, not {size}"
        )
    return path


def parse_listen(text: str) -> tuple[Address, ...]:
    addresses = tuple(parse_address(url.strip()) for url in text.split(","))
    for address in addresses:
        if address.host != "localhost" and not address.is_unix:
            try:
                ipaddress.ip_address(address.host)
            except ValueError:
                raise ValueError(
                    f"{address.host!r}: expected IP in URL for binding ({address.url})"
                ) from None
    return addresses


def parse_urls(text: str) -> tuple[str, ...]:
    return tuple(parse_address(url.strip()).url for url in text.split(","))


def parse_peer_listen(text: str) -> tuple[Address, ...]:
    addresses = parse_listen(text)
    for address in addresses:
        _refuse_unix(address)
    return addresses


def parse_peer_urls(text: str) -> tuple[str, ...]:
    for url in text.split(","):
        _refuse_unix(parse_address(url.strip()))
    return parse_urls(text)


def _refuse_unix(address: Address) -> None:
    if address.is_unix:
        raise ValueError(f"{address.url!r}: peers are called over http or https only")


def parse_names(text: str) -> tuple[str, ...]:
    """Separated by commas; none at all is ()."""
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def parse_cluster(text: str) -> dict[str, tuple[str, ...]]:
    """name=url,name=url; a name may stand several times, once per URL."""
    urls: dict[str, tuple[str, ...]] = {}
    for pair in filter(None, text.split(",")):
        name, equals, url = pair.strip().partition("=")
        if not equals or not name:
            raise ValueError(f"{pair!r}: name=URL is expected")
        urls[name] = (*urls.get(name, ()), *parse_peer_urls(url))
    if not urls:
        raise ValueError("at least one name=URL is expected")
    return urls


def one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"one of {', '.join(allowed)} is expected")
        return text

    return parse


def _tls_flags(prefix: str, port: str) -> tuple[Flag, ...]:
    """One port's TLS flags; the same ones begin with peer- on the peer port."""
    crl = "peer-crl-file" if prefix else "client-crl-file"
    hostname = "peer-cert-allowed-hostname" if prefix else "client-cert-allowed-hostname"
    return (
        Flag(f"{prefix}cert-file", "", str, f"the {port} port's certificate, PEM"),
        Flag(f"{prefix}key-file", "", str, f"the {port} port's private key, PEM"),
        Flag(f"{prefix}client-cert-file", "", str, "certificate for calls that this member makes"),
        Flag(f"{prefix}client-key-file", "", str, "the private key of the former"),
        Flag(
            f"{prefix}trusted-ca-file", "", str, "the CA of client certificates; makes them needed"
        ),
        Flag(f"{prefix}client-cert-auth", "false", parse_bool, "need client certificates", True),
        Flag(crl, "", str, "revocation list of client certificates, PEM or DER"),
        Flag(hostname, "", parse_names, "host names, one of which a certificate must be for"),
        Flag(f"{prefix}auto-tls", "false", parse_bool, "TLS with a self-signed certificate", True),
    )


_TLS_FLAGS: tuple[Flag, ...] = (
    *_tls_flags("", "client"),
    *_tls_flags("peer-", "peer"),
    Flag("peer-cert-allowed-cn", "", parse_names, "CNs, one of which a peer must have"),
    Flag(
        "peer-skip-client-san-verification",
        "false",
        parse_bool,
        "do not compare a peer's address with its certificate",
        True,
    ),
    Flag("self-signed-cert-validity", "1", parse_int, "years, of the certificates of auto-tls"),
    Flag("cipher-suites", "", parse_names, "suites for TLS 1.2, by Go's names, comma-separated"),
    Flag("tls-min-version", "TLS1.2", str, "TLS1.2 or TLS1.3"),
    Flag("tls-max-version", "", str, "TLS1.2 or TLS1.3; none by default"),
)

FLAGS: tuple[Flag, ...] = (
    Flag("name", "default", str, "this member's name, as in --initial-cluster"),
    Flag("data-dir", "", str, "where the data is; ${name}.etcd by default"),
    Flag("wal-dir", "", str, "where the log is; in the data directory by default"),
    Flag("listen-client-urls", "http://localhost:2379", parse_listen, "client URLs to listen on"),
    Flag(
        "advertise-client-urls", "http://localhost:2379", parse_urls, "client URLs to tell others"
    ),
    Flag("listen-peer-urls", "http://localhost:2380", parse_peer_listen, "peer URLs to listen on"),
    Flag(
        "initial-advertise-peer-urls",
        "http://localhost:2380",
        parse_peer_urls,
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
    *_TLS_FLAGS,
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
    "unsafe-no-fsync": "false", "cors": "*", "host-whitelist": "*",
    "auth-token": "simple", "auth-token-ttl": "300",
    "bcrypt-cost": "10", "log-format": "json", "enable-log-rotation": "false",
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
