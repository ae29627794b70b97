"""docs/limits.md: what a client or an operator can run into, and every other bound.

Owns: the rows of the first table: which bound, which flag, which answer, which test. Values, texts
and codes come from the code. Must never do: state a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.manual.bounds import Bound, bounds
from raftkv import errors as e
from raftkv.cli.flags import flag_named
from raftkv.rpc.errors import Code, status_of
from raftkv.server.config import ServerConfig
from raftkv.server.space import QUOTA_DEFAULT_BYTES

ROOT = Path(__file__).parents[2]
KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Limit:
    """``bound`` is MODULE:NAME, or a setting's value itself; ``answer`` an error, or the words that
    are told; ``test`` FILE::NAME."""

    what: str
    bound: str | int
    flag: str
    answer: type[e.RaftKVError] | str
    test: str


_CONFIG = ServerConfig()
LIMITS = (
    Limit(
        "a request", "server.config:Limits.request_bytes_max", "max-request-bytes",
        e.RequestTooLarge, "rpc/test_rpc_kv.py::test_a_request_over_the_limit_is_too_large",
    ),
    Limit(
        "a gRPC message, 512 KiB above a request", "wire.limits:WireLimits.message_bytes_max",
        "max-request-bytes",
        "RESOURCE_EXHAUSTED: grpc: received message larger than max (SIZE vs. LIMIT)",
        "wire/test_wire_calls.py::test_oversized_message",
    ),
    Limit(
        "operations of one txn", "server.config:Limits.txn_ops_max", "max-txn-ops", e.TooManyOps,
        "apply/test_apply_txn_check.py::"
        "test_the_limit_is_on_the_longest_list_and_its_rest_is_the_nested_budget",
    ),
    Limit(
        "the database", QUOTA_DEFAULT_BYTES, "quota-backend-bytes", e.NoSpace,
        "server/test_server_space.py::test_a_full_member_raises_the_alarm_for_all",
    ),
    Limit(
        "requests that wait at one member", "server.config:Limits.pending_requests_max", "",
        e.TooManyRequests, "server/test_server_waiting.py::test_bounds_of_what_waits",
    ),
    Limit(
        "bytes of requests that wait at one member", "server.config:Limits.pending_bytes_max", "",
        e.TooManyRequests, "server/test_server_waiting.py::test_bounds_of_what_waits",
    ),
    Limit(
        "long lists under way at one member", "rpc.long_ranges:LONG_RANGES_MAX", "",
        e.TooManyRequests, "rpc/test_rpc_long_ranges.py::test_long_ranges_are_bounded",
    ),
    Limit(
        "waiting calls of Lock and Campaign", "rpc.waiting_calls:WAITING_MAX", "",
        e.TooManyRequests, "rpc/test_rpc_lock.py::test_the_number_of_waiting_calls_is_bounded",
    ),
    Limit(
        "snapshots that are read at once", "server.backup:BACKUPS_MAX", "", e.TooManyRequests,
        "server/test_server_copies.py::test_backups_are_bounded",
    ),
    Limit(
        "quotas of prefixes", "mvcc.prefix_quota:QUOTAS_MAX", "",
        "INVALID_ARGUMENT, with the number",
        "mvcc/test_mvcc_prefix_quota.py::test_bad_prefixes_and_too_many_are_refused",
    ),
    Limit(
        "bytes of a prefix with a quota", "mvcc.prefix_quota:PREFIX_BYTES_MAX", "",
        "INVALID_ARGUMENT, with the number",
        "mvcc/test_mvcc_prefix_quota.py::test_bad_prefixes_and_too_many_are_refused",
    ),
    Limit(
        "keys below a prefix that is given a quota", "mvcc.prefix_quota:COUNTED_KEYS_MAX", "",
        "INVALID_ARGUMENT, with the number",
        "mvcc/test_mvcc_prefix_quota.py::test_too_much_to_count_in_one_turn_is_refused",
    ),
    Limit(
        "learners", _CONFIG.learners_max, "max-learners", e.TooManyLearners,
        "apply/test_apply_membership.py::test_a_refused_change_changes_no_row",
    ),
    Limit(
        "a lease's life in seconds", "rpc.lease:TTL_MAX_S", "", e.LeaseTTLTooLarge,
        "rpc/test_rpc_lease.py::test_refusals",
    ),
    Limit(
        "a password", "auth.passwords:PASSWORD_BYTES_MAX", "", e.PasswordTooLong,
        "auth/test_auth_tokens.py::test_a_password_beyond_bcrypts_limit_is_refused",
    ),
    Limit(
        "simple tokens", "auth.simple_tokens:TOKENS_MAX", "",
        "the one that was not used for longest ends; UNAUTHENTICATED: invalid auth token, and the "
        "client logs in again",
        "auth/test_auth_tokens.py::test_the_longest_unused_token_gives_way",
    ),
    Limit(
        "bytes queued on one watch stream", "server.config:Limits.watch_backlog_bytes_max", "",
        "nothing is lost: the watchers read history until they have caught up",
        "rpc/test_rpc_watch.py::"
        "test_a_reader_that_slows_in_the_middle_misses_and_repeats_nothing",
    ),
    Limit(
        "streams of one connection", "wire.limits:WireLimits.concurrent_streams_max",
        "max-concurrent-streams", "REFUSED_STREAM; clients know the number and wait",
        "wire/test_wire_rfc9113_rules.py::test_5_1_2_more_streams_than_announced_are_refused",
    ),
    Limit(
        "connections of one port", "wire.limits:WireLimits.connections_max", "",
        "closed, with a line in the log", "wire/test_wire_sockets.py::test_connection_limit",
    ),
    Limit(
        "an HTTP request's body", "wire.limits:WireLimits.http_body_bytes_max", "",
        "413: request body larger than LIMIT bytes", "wire/test_wire_http1.py::test_refused",
    ),
    Limit(
        "the headers of a request", "wire.limits:WireLimits.header_list_bytes_max", "",
        "the stream is reset", "wire/test_wire_rfc7541.py::"
        "test_7_3_what_a_block_can_make_of_itself_is_bounded",
    ),
    Limit(
        "TLS handshakes under way", "tls.handshake:HandshakeLimits.handshakes_max", "",
        "further ones wait; the oldest is cut once it has had a second",
        "wire/test_wire_tls.py::test_handshakes_under_way_are_bounded",
    ),
    Limit(
        "seconds of a TLS handshake", "tls.handshake:HandshakeLimits.handshake_seconds_max", "",
        "closed, with a line in the log", "wire/test_wire_tls.py::test_slow_handshake_is_cut",
    ),
    Limit(
        "the election timeout in milliseconds", "server.config:ELECTION_TIMEOUT_MS_MAX",
        "election-timeout", "status 2 at the start, with flag, value and limit",
        "cli/test_cli_settings.py::test_mistakes_are_named",
    ),
    Limit(
        "the path of a unix socket", "wire.unix_socket:PATH_BYTES_MAX", "listen-client-urls",
        "status 2 at the start, with path, size and limit",
        "cli/test_cli_settings.py::test_mistakes_are_named",
    ),
)  # fmt: skip

_HEAD = """\
# Limits

<!-- Made by `make man` from the code; tests/deploy/test_deploy_manual.py compares. -->

There is no limit of its own on a key, on a value, on the number of keys, or on the length of a
list: a request must fit, and its answer may be as large as gRPC allows (our client, unlike grpc's
default of 4 MiB, takes it).

## What a client or an operator can run into

Where a flag is named, it sets the limit; the others are the same on every member.

| limit | value | flag | what one is told | test |
|---|---|---|---|---|
"""
_REST = """
## Every other bound

Nobody is refused by these, unless it says so: work is cut into pieces of this size, or waits. The
name is that in the code, below `raftkv/`.

| bound | value | what it is |
|---|---|---|
"""


def limits_page() -> str:
    found = {f"{each.module}:{each.name}": each for each in bounds(ROOT / "raftkv")}
    return _HEAD + "".join(_rows(found)) + _REST + "".join(_others(found))


def _rows(found: dict[str, Bound]) -> Iterator[str]:
    for each in LIMITS:
        value: Any = each.bound if isinstance(each.bound, int) else found[each.bound].value
        name = each.bound if isinstance(each.bound, str) else each.flag
        flag = f"`--{each.flag}`" if each.flag else ""
        assert not each.flag or flag_named(each.flag) is not None, each.flag
        file, _, test = each.test.partition("::")
        cells = (each.what, shown(name, value), flag, told(each.answer), f"`{file}` {test}".strip())
        yield f"| {' | '.join(cells)} |\n"


def _others(found: dict[str, Bound]) -> Iterator[str]:
    named = {each.bound for each in LIMITS}
    for key, each in found.items():
        if key not in named:
            text = each.text.replace("|", "\\|").replace("``", "`")
            yield f"| `{each.module}.{each.name}` | {shown(each.name, each.value)} | {text} |\n"


def told(answer: type[e.RaftKVError] | str) -> str:
    """As a client sees it: the code, and etcd's text."""
    if isinstance(answer, str):
        return answer
    status = status_of(answer(""))
    return f"{Code(status.code).name}: {status.message}"


def shown(name: str, value: Any) -> str:
    """With its unit, which is in the name."""
    words = set(name.lower().replace(".", "_").replace(":", "_").replace("-", "_").split("_"))
    if "bytes" in words and isinstance(value, int):
        return _size(value)
    if words & {"s", "seconds"} and "per" not in words:
        return f"{value:,g} s" if value < 1e6 else f"{value:,} s"
    if "ms" in words:
        return f"{value:,} ms"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _size(value: int) -> str:
    for unit, name in ((GiB, "GiB"), (MiB, "MiB"), (KiB, "KiB")):
        if value >= unit and value % (unit // 4 or 1) == 0:
            return f"{value / unit:g} {name}"
    return f"{value:,} bytes"
