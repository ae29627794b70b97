"""etcd's flags, as data.

Owns: every flag's name, default and parser, and which of etcd's flags are not served yet. Must
never do: read the environment or a file; ``settings`` does. Names, defaults and meaning are
etcd's (server/embed/config.go and etcdmain/config.go).
"""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

from raftkv.cli.flag import Flag, Parsed, State, one_of, parse_bool, parse_duration, parse_int
from raftkv.cli.operation_flags import OPERATION_FLAGS
from raftkv.cli.tls_flags import TLS_FLAGS
from raftkv.cli.ui_flags import UI_FLAGS
from raftkv.errors import ConfigError
from raftkv.server.config import PROMOTE_ADDED, PROMOTES, Address
from raftkv.wire.unix_socket import PATH_BYTES_MAX


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


def parse_listen_if_any(text: str) -> tuple[Address, ...]:
    return parse_listen(text) if text else ()


def parse_allowed(text: str) -> frozenset[str]:
    """A list with commas. None of them is all of them, as in etcd."""
    return frozenset(name.strip() for name in text.split(",") if name.strip()) or frozenset("*")


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


FLAGS: tuple[Flag, ...] = (
    Flag("name", "default", str, "this member's name, as in --initial-cluster"),
    Flag("data-dir", "", str, "where the data is; ${name}.etcd by default"),
    Flag("wal-dir", "", str, "where the log is; in the data directory by default"),
    Flag("listen-client-urls", "http://localhost:2379", parse_listen, "client URLs to listen on"),
    Flag(
        "advertise-client-urls", "http://localhost:2379", parse_urls, "client URLs to tell others"
    ),
    Flag(
        "listen-client-http-urls",
        "",
        parse_listen_if_any,
        "URLs for HTTP alone; --listen-client-urls then serve gRPC alone",
    ),
    Flag("enable-grpc-gateway", "true", parse_bool, "serve the JSON gateway under /v3/", True),
    Flag("cors", "*", parse_allowed, "origins of web pages that may read what HTTP answers"),
    Flag("host-whitelist", "*", parse_allowed, "names in Host that plain HTTP answers to"),
    Flag(
        "listen-metrics-urls",
        "",
        parse_listen_if_any,
        "more URLs that serve /metrics and the health checks alone",
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
    Flag(
        "snapshot-count",
        "10000",
        parse_int,
        "log entries between cuts of the log; an entry holds many writes",
        state=State.DIFFERS,
    ),
    Flag("snapshot-catchup-entries", "5000", parse_int, "log entries kept for slow followers"),
    Flag("max-request-bytes", "1572864", parse_int, "the largest request"),
    Flag("max-txn-ops", "128", parse_int, "the most operations of one txn"),
    Flag(
        "quota-backend-bytes",
        "0",
        parse_int,
        "refuse what puts beyond so many live bytes; 0 is 2 GiB, below 0 no limit",
        state=State.DIFFERS,
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
    Flag(
        "max-snapshots",
        "5",
        parse_int,
        "accepted; a snapshot file goes once no follower needs it",
        state=State.ACCEPTED,
    ),
    Flag(
        "max-wals",
        "5",
        parse_int,
        "accepted; a log file goes once the database covers it",
        state=State.ACCEPTED,
    ),
    Flag("pre-vote", "true", parse_bool, "ask first whether an election could be won", True),
    Flag("watch-progress-notify-interval", "10m", parse_duration, "between progress responses"),
    Flag(
        "strict-reconfig-check",
        "true",
        parse_bool,
        "refuse changes of members that would cost the quorum",
        True,
        State.DIFFERS,
    ),
    Flag("max-learners", "1", parse_int, "the most learners in the cluster"),
    Flag(
        "auto-promote-learners",
        PROMOTE_ADDED,
        one_of(*PROMOTES),
        "who votes by itself once caught up: added (by a plain member add), all (learners too), "
        "none",
    ),
    Flag(
        "observer",
        "false",
        parse_bool,
        "serve all calls while this member is a learner: reads and watches near to their clients",
        True,
    ),
    Flag(
        "force-new-cluster",
        "false",
        parse_bool,
        "make this member, with its data, the only one of its cluster",
        True,
        State.DIFFERS,
    ),
    *OPERATION_FLAGS,
    *TLS_FLAGS,
    *UI_FLAGS,
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


def flag_named(name: str) -> Flag | None:
    return next((flag for flag in FLAGS if flag.name == name), None)


def parse_value(flag: Flag, text: str, source: str) -> Parsed:
    """Raises ConfigError that names the flag, the value and what is wrong."""
    try:
        return flag.parse(text)
    except ValueError as e:
        raise ConfigError(f"invalid value {text!r} for {source}: {e}") from None
