"""etcd's flags for whoever operates a member: checks, the log, metrics, sockets, warnings.

Owns: those flags, and etcd's feature gates. Must never do: act on them; ``operation_settings``
turns their values into Operations. A flag that changes nothing here says so in its help.
"""

from __future__ import annotations

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


def parse_gates(text: str) -> str:
    """Name=true,Name=false. Raises ValueError for a gate that etcd does not know."""
    gates_of(text)
    return text


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
    Flag(
        "enable-distributed-tracing",
        "false",
        only("false", "there is no OpenTelemetry exporter; use --metrics=extensive"),
        "refused: there is no OpenTelemetry exporter",
        True,
        State.REFUSED,
    ),
    *(
        Flag(
            f"distributed-tracing-{name}",
            default,
            str,
            "accepted; nothing is traced",
            state=State.ACCEPTED,
        )
        for name, default in (
            ("address", "localhost:4317"),
            ("service-name", "etcd"),
            ("instance-id", ""),
            ("sampling-rate", "0"),
        )
    ),
)

OPERATION_FLAGS: tuple[Flag, ...] = (
    *_CHECKS, *_LOGGING, *_OBSERVATION, *_SOCKETS, *_STORAGE, *_CLUSTER,
)  # fmt: skip
