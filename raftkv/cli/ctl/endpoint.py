"""endpoint status, health and hashkv: one member at a time, all at once.

Owns: which endpoints are asked (with --cluster those of the member list), and the looks. Must never
do: answer for one that did not: it is told, and the exit status says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import click

from raftkv.api import rpc_pb2 as api
from raftkv.cli.ctl.failure import Failure, text_of
from raftkv.cli.ctl.fields import field, header_lines
from raftkv.cli.ctl.go_text import duration, size
from raftkv.cli.ctl.json_shape import shape_of
from raftkv.cli.ctl.output import Lines, show, table_of
from raftkv.cli.ctl.verb import Noun, Settings, pass_settings
from raftkv.client import Client
from raftkv.errors import RaftKVError

T = TypeVar("T")
HEALTH_KEY = b"health"
_CLUSTER = click.option("--cluster", is_flag=True, help="all endpoints of the member list")
_STATUS = (
    "ENDPOINT", "ID", "VERSION", "DB SIZE", "IS LEADER", "IS LEARNER", "RAFT TERM", "RAFT INDEX",
    "RAFT APPLIED INDEX", "ERRORS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """What one endpoint said, or why it did not."""

    endpoint: str
    answer: T | None
    error: str
    took_s: float


@click.group("endpoint", cls=Noun)
def endpoint() -> None:
    """The members behind the endpoints, one by one."""


async def endpoints_of(settings: Settings, client: Client, *, cluster: bool) -> Sequence[str]:
    """Those given, or all client URLs of the member list."""
    if not cluster:
        return settings.connection.endpoints
    return [url for one in (await client.cluster.members()).members for url in one.clientURLs]


async def ask_each(
    endpoints: Sequence[str], timeout_s: float, ask: Callable[[str], Awaitable[T]]
) -> list[Told[T]]:
    """All at once, each within ``timeout_s``; in the order given."""

    async def one(name: str) -> Told[T]:
        start = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                return Told(name, await ask(name), "", time.monotonic() - start)
        except TimeoutError:
            error = "context deadline exceeded"
        except RaftKVError as e:
            error = text_of(e)
        return Told(name, None, error, time.monotonic() - start)

    return await asyncio.gather(*(one(name) for name in endpoints))


def _ask(
    settings: Settings, ask: Callable[[Client, str], Awaitable[T]], *, cluster: bool
) -> list[Told[T]]:
    async def work(client: Client) -> list[Told[T]]:
        names = await endpoints_of(settings, client, cluster=cluster)
        limit_s = settings.connection.command_timeout_s
        return await ask_each(names, limit_s, lambda name: ask(client, name))

    return settings.run(work, is_long=True)


def complain(told: Sequence[Told[T]], what: str) -> list[tuple[str, T]]:
    """Those that answered; the others are named on stderr."""
    for one in told:
        if one.answer is None:
            click.echo(
                f"Failed to get the {what} of endpoint {one.endpoint} ({one.error})", err=True
            )
    return [(one.endpoint, one.answer) for one in told if one.answer is not None]


# --- status ---


@endpoint.command("status")
@_CLUSTER
@pass_settings
@click.pass_context
def status(context: click.Context, settings: Settings, cluster: bool) -> None:
    """Version, size, role and position in the log."""
    told = _ask(settings, lambda client, name: client.maintenance.status(name), cluster=cluster)
    found = complain(told, "status")
    rows = [_status_row(name, one) for name, one in found]
    show(
        settings,
        simple=lambda: [", ".join(_plain(cell) for cell in row) for row in rows],
        fields=lambda: [line for name, one in found for line in _status_fields(name, one)],
        json=lambda: [{"Endpoint": name, "Status": shape_of(one)} for name, one in found],
        table=lambda: table_of(_STATUS, rows),
    )
    context.exit(int(len(found) < len(told)))


def _status_row(name: str, one: api.StatusResponse) -> tuple[object, ...]:
    member = one.header.member_id
    return (
        name, f"{member:x}", one.version, size(one.dbSize), one.leader == member, one.isLearner,
        one.raftTerm, one.raftIndex, one.raftAppliedIndex, ", ".join(one.errors),
    )  # fmt: skip


def _status_fields(name: str, one: api.StatusResponse) -> Lines:
    yield from header_lines(one.header)
    yield field("Version", one.version)
    yield field("DBSize", one.dbSize)
    yield field("Leader", one.leader)
    yield field("IsLearner", one.isLearner)
    yield field("RaftIndex", one.raftIndex)
    yield field("RaftTerm", one.raftTerm)
    yield field("RaftAppliedIndex", one.raftAppliedIndex)
    yield f'"Errors" : [{" ".join(_quoted_plain(error) for error in one.errors)}]'
    yield field("Endpoint", name)
    yield ""


def _quoted_plain(text: str) -> str:
    return f'"{text}"'


# --- health ---


@endpoint.command("health")
@_CLUSTER
@pass_settings
def health(settings: Settings, cluster: bool) -> None:
    """Whether each answers a linearizable read."""

    async def work(client: Client) -> list[Told[bool]]:
        names = await endpoints_of(settings, client, cluster=cluster)
        limit_s = settings.connection.command_timeout_s

        async def ask(name: str) -> bool:
            async with settings.connection.client(name) as one:
                await one.range(api.RangeRequest(key=HEALTH_KEY))
            return True

        return await ask_each(names, limit_s, ask)

    told = settings.run(work, is_long=True)
    rows = [(one.endpoint, bool(one.answer), duration(one.took_s), one.error) for one in told]
    show(
        settings,
        simple=lambda: [_health_line(one) for one in told],
        fields=lambda: [line for row in rows for line in _health_fields(*row)],
        json=lambda: [_health_json(*row) for row in rows],
        table=lambda: table_of(("ENDPOINT", "HEALTH", "TOOK", "ERROR"), rows),
    )
    if not all(one.answer for one in told):
        raise Failure("unhealthy cluster")


def _health_line(one: Told[bool]) -> str:
    if one.answer:
        took = duration(one.took_s)
        return f"{one.endpoint} is healthy: successfully committed proposal: took = {took}"
    return f"{one.endpoint} is unhealthy: failed to commit proposal: {one.error}"


def _health_fields(name: str, healthy: bool, took: str, error: str) -> Lines:
    yield field("Endpoint", name)
    yield field("Health", healthy)
    yield f'"Took" : {took}'
    yield f'"Error" : {error}'
    yield ""


def _health_json(name: str, healthy: bool, took: str, error: str) -> dict[str, object]:
    shape: dict[str, object] = {"endpoint": name, "health": healthy, "took": took}
    return shape | {"error": error} if error else shape


# --- hashkv ---


@endpoint.command("hashkv")
@_CLUSTER
@click.option("--rev", type=int, default=0, help="as of this revision")
@pass_settings
@click.pass_context
def hashkv(context: click.Context, settings: Settings, cluster: bool, rev: int) -> None:
    """The hash of each member's history; those of one revision must be equal."""
    told = _ask(
        settings, lambda client, name: client.maintenance.hash_kv(rev, name), cluster=cluster
    )
    found = complain(told, "hash")
    rows = [(name, one.hash) for name, one in found]
    show(
        settings,
        simple=lambda: [f"{name}, {number}" for name, number in rows],
        fields=lambda: [line for name, one in found for line in _hash_fields(name, one)],
        json=lambda: [{"Endpoint": name, "HashKV": shape_of(one)} for name, one in found],
        table=lambda: table_of(("ENDPOINT", "HASH"), rows),
    )
    context.exit(int(len(found) < len(told)))


def _hash_fields(name: str, one: api.HashKVResponse) -> Lines:
    yield from header_lines(one.header)
    yield field("Endpoint", name)
    yield field("Hash", one.hash)
    yield ""


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
