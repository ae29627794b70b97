"""etcd's flags for whoever operates a member: checks, the log, metrics, sockets, warnings.

Owns: those flags, and etcd's feature gates. Must never do: act on them; ``operation_settings``
turns their values into Operations. A flag that changes nothing here says so in its help.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from raftkv.cli.flag import (
    Flag,
    State,
    one_of,
    only,
    parse_bool,
    parse_count,
    parse_duration,
)

FEATURE_GATES: dict[str, tuple[bool, str]] = {
    "CompactHashCheck": (False, "ALPHA"),
    "FastLeaseKeepAlive": (True, "BETA"),
    "InitialCorruptCheck": (False, "ALPHA"),
    "LeaseCheckpoint": (True, "BETA"),
    "LeaseCheckpointPersist": (True, "BETA"),
    "PriorityRequest": (False, "ALPHA"),
    "SetMemberLocalAddr": (False, "ALPHA"),
    "StopGRPCServiceOnDefrag": (False, "ALPHA"),
    "TxnModeWriteWithSharedBuffer": (True, "BETA"),
}
"""etcd's gates with what holds here by default, and their stage. Only the two hash checks can be
switched: leases are always checkpointed, a defragmentation never stops the service, and the others
are about parts of etcd that do not exist here."""
SWITCHED_GATES = frozenset(("CompactHashCheck", "InitialCorruptCheck"))


PER_MILLION = 1_000_000
GRPC_PORT = 4317


def parse_per_million(text: str) -> int:
    number = parse_count(text)
    if number > PER_MILLION:
        raise ValueError(f"a number from 0 to {PER_MILLION} is expected")
    return number


def parse_collector(text: str) -> str:
    """To a URL. Raises ValueError."""
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ValueError("host:port, or an http:// or https:// URL, is expected")
    if parts.port == GRPC_PORT and not parts.path.strip("/"):
        raise ValueError("4317 is the port of OTLP over gRPC; name that of OTLP over HTTP, 4318")
    path = parts.path.rstrip("/") or "/v1/traces"
    return f"{parts.scheme}://{parts.netloc}{path}"


def parse_gates(text: str) -> str:
    """Name=true,Name=false. Raises ValueError for a gate that etcd does not know."""
    gates_of(text)
    return text


def parse_shares(text: str) -> str:
    """0.01, or reads=0.01,writes=1. Raises ValueError."""
    shares_of(text)
    return text


def shares_of(text: str) -> dict[str, float]:
    """Of reads and of writes, from 0 to 1; what is not named is 1."""
    shares = {"reads": 1.0, "writes": 1.0}
    for part in text.split(","):
        name, equals, value = part.strip().rpartition("=")
        try:
            share = float(value)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1 or (equals and name not in shares):
            raise ValueError("a share from 0 to 1 is expected, or reads=SHARE,writes=SHARE")
        shares |= {name: share} if equals else dict.fromkeys(shares, share)
    return shares


def gates_of(text: str) -> dict[str, bool]:
    given: dict[str, bool] = {}
    for pair in filter(None, text.split(",")):
        name, equals, value = pair.strip().partition("=")
        if not equals:
            raise ValueError(f"{pair!r}: Name=true or Name=false is expected")
        if name not in FEATURE_GATES:
            raise ValueError(
                f"unrecognized feature gate: {name} (known: {', '.join(FEATURE_GATES)})"
            )
        given[name] = parse_bool(value)
    return given


_CHECKS = (
    Flag(
        "initial-corrupt-check",
        "false",
        parse_bool,
        "before serving, compare this member's hash with the others', and refuse to start if it"
        " differs; also the gate InitialCorruptCheck",
        True,
    ),
    Flag(
        "corrupt-check-time",
        "0s",
        parse_duration,
        "how often the leader compares all members' hashes; 0 is never",
    ),
    Flag(
        "compact-hash-check-time",
        "1m",
        parse_duration,
        "how often the leader compares hashes at the last compaction, with the gate"
        " CompactHashCheck",
    ),
    Flag(
        "self-heal",
        "true",
        parse_bool,
        "a member that finds its data wrong serves nothing until it has a peer's; false: it asks"
        " for the alarm CORRUPT",
        True,
    ),
    Flag(
        "state-check-interval",
        "1s",
        parse_duration,
        "how often the leader compares what the members' entries led to, if there were any; 0 is"
        " never",
    ),
    Flag(
        "scrub-interval",
        "10m",
        parse_duration,
        "how long a member rests between two walks through all its rows; 0 is for ever",
    ),
)

_SPACE = (
    Flag(
        "auto-defrag",
        "true",
        parse_bool,
        "give room back to the file system when most of a large database file is free, one member"
        " after the other",
        True,
        state=State.DIFFERS,
    ),
)

_LOGGING = (
    Flag(
        "log-level",
        "info",
        one_of("debug", "info", "warn", "error", "panic", "fatal"),
        "what to log",
    ),
    Flag(
        "logger",
        "zap",
        one_of("zap"),
        "accepted; there is one logger",
        state=State.ACCEPTED,
    ),
    Flag("log-format", "json", one_of("json", "console"), "a JSON object or a text per line"),
    Flag(
        "log-outputs",
        "default",
        str,
        "where the log goes: stderr (the default), stdout, paths, with commas",
        state=State.DIFFERS,
    ),
    Flag(
        "enable-log-rotation",
        "false",
        parse_bool,
        "follow a log file that is full by a new one",
        True,
    ),
    Flag(
        "log-rotation-config-json",
        '{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}',
        str,
        "when a log file is full (MB), and which old ones stay (days, number; 0 is all)",
    ),
)

_ACCESS = (
    Flag(
        "access-log",
        "",
        str,
        "a line of JSON for every call, in a file of this path, or to stderr or stdout; rotated as"
        " the log is, with --enable-log-rotation",
    ),
    Flag(
        "access-log-sample",
        "1",
        parse_shares,
        "the share of calls with a line, 0.01 say, or reads=0.01,writes=1; errors and slow calls"
        " (--warning-unary-request-duration) always have one",
    ),
    Flag(
        "access-log-keys",
        "plain",
        one_of("plain", "hash", "none"),
        "how the access log and /debug/top show keys: quoted, as a hash, or not at all",
    ),
    Flag(
        "enable-top-talkers",
        "false",
        parse_bool,
        "find the busiest clients, users, prefixes and methods, and serve them at /debug/top",
        True,
    ),
)

_OBSERVATION = (
    Flag("metrics", "basic", one_of("basic", "extensive"), "extensive: also time every request"),
    Flag(
        "enable-pprof",
        "false",
        parse_bool,
        "serve profiles at /debug/pprof/ of the client URLs: profile?seconds=N, heap",
        True,
        State.DIFFERS,
    ),
    Flag(
        "warning-apply-duration",
        "100ms",
        parse_duration,
        "warn of an entry of the log, which holds many requests, that takes longer to apply",
        state=State.DIFFERS,
    ),
    Flag(
        "warning-unary-request-duration",
        "300ms",
        parse_duration,
        "warn of a request that takes longer to answer; 0 is never",
    ),
)

_SOCKETS = (
    Flag(
        "max-concurrent-streams",
        "4294967295",
        parse_count,
        "the most streams of one client connection, up to 16384",
        state=State.DIFFERS,
    ),
    Flag(
        "grpc-keepalive-min-time",
        "5s",
        parse_duration,
        "a client that pings more often loses its connection, with or without open calls; 0 is as"
        " often as it likes",
        state=State.DIFFERS,
    ),
    Flag("grpc-keepalive-interval", "2h", parse_duration, "ping a client that was silent for this"),
    Flag(
        "grpc-keepalive-timeout",
        "20s",
        parse_duration,
        "close the connection of a client that does not answer such a ping",
    ),
    Flag(
        "socket-reuse-port",
        "false",
        parse_bool,
        "listen with SO_REUSEPORT, beside another process on the same port",
        True,
    ),
    Flag(
        "socket-reuse-address",
        "false",
        parse_bool,
        "accepted; SO_REUSEADDR is always set, as Go does",
        True,
        State.ACCEPTED,
    ),
)

_STORAGE = (
    Flag(
        "unsafe-no-fsync",
        "false",
        parse_bool,
        "never wait for the log to reach the disk: a power cut may lose acknowledged writes",
        True,
    ),
    Flag(
        "backend-batch-interval",
        "0s",
        parse_duration,
        "how often the database is committed; 0 is every 5 s (the log is durable at once)",
        state=State.DIFFERS,
    ),
    Flag(
        "backend-batch-limit",
        "0",
        parse_count,
        "accepted; the database is committed by time and bytes, not by number of writes",
        state=State.ACCEPTED,
    ),
    Flag(
        "backend-bbolt-freelist-type",
        "map",
        one_of("map", "array"),
        "accepted; the database is LMDB and has no such list",
        state=State.ACCEPTED,
    ),
    Flag(
        "compaction-batch-limit",
        "1000",
        parse_count,
        "the most records that one step of a compaction looks at",
    ),
    Flag(
        "compaction-sleep-interval",
        "10ms",
        parse_duration,
        "accepted; requests are served between any two steps of a compaction",
        state=State.ACCEPTED,
    ),
    Flag(
        "memory-mlock",
        "false",
        only("false", "the database is mapped larger than it is; switch swap off instead"),
        "refused: what is mapped is larger than the data",
        True,
        State.REFUSED,
    ),
)

_CLUSTER = (
    Flag(
        "feature-gates",
        "",
        parse_gates,
        "Name=true,...: " + ", ".join(FEATURE_GATES),
        state=State.DIFFERS,
    ),
    Flag(
        "downgrade-check-time",
        "5s",
        parse_duration,
        "accepted; there is no older version to go back to",
        state=State.ACCEPTED,
    ),
    Flag(
        "discovery-endpoints",
        "",
        only("", "name the members in --initial-cluster"),
        "refused: members are named in --initial-cluster",
        state=State.REFUSED,
    ),
    Flag(
        "discovery-token",
        "",
        only("", "name the members in --initial-cluster"),
        "refused: members are named in --initial-cluster",
        state=State.REFUSED,
    ),
    Flag(
        "discovery-srv",
        "",
        only("", "name the members in --initial-cluster"),
        "refused: members are named in --initial-cluster",
        state=State.REFUSED,
    ),
)

_TRACING = (
    Flag(
        "enable-distributed-tracing",
        "false",
        parse_bool,
        "send OpenTelemetry spans of sampled calls, from the request through the log to the answer;"
        " needs pip install 'raftkv[otel]'",
        True,
        State.DIFFERS,
    ),
    Flag(
        "distributed-tracing-address",
        "localhost:4318",
        parse_collector,
        "host:port or URL of a collector that takes OTLP over HTTP (etcd's is gRPC, port 4317)",
        state=State.DIFFERS,
    ),
    Flag("distributed-tracing-service-name", "etcd", str, "the service.name of all spans"),
    Flag(
        "distributed-tracing-instance-id",
        "",
        str,
        "the service.instance.id of all spans; this member's name by default",
        state=State.DIFFERS,
    ),
    Flag(
        "distributed-tracing-sampling-rate",
        "0",
        parse_per_million,
        "how many of a million calls that carry no trace of their own begin one; a call that"
        " carries one (traceparent) is traced if that is sampled",
    ),
)

OPERATION_FLAGS: tuple[Flag, ...] = (
    *_CHECKS, *_SPACE, *_LOGGING, *_ACCESS, *_OBSERVATION, *_TRACING, *_SOCKETS, *_STORAGE,
    *_CLUSTER,
)  # fmt: skip
