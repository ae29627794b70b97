"""top: a live view of the cluster, from Status and /metrics of each member.

Owns: what is measured between two looks, and the table. Must never do: show a number of a member
that did not answer: it is shown as down, with the reason.
"""

from __future__ import annotations

import asyncio
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import click
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.live import Live
from rich.table import Table

from raftkv.api import rpc_pb2 as api
from raftkv.cli.connection import Duration
from raftkv.cli.ctl.endpoint import Told, ask_each, endpoints_of
from raftkv.cli.ctl.failure import Failure
from raftkv.cli.ctl.go_text import size
from raftkv.cli.ctl.output import show, table_of
from raftkv.cli.ctl.talkers import show_talkers
from raftkv.cli.ctl.verb import Settings, Verb, pass_settings
from raftkv.client import Client

HEADERS = (
    "MEMBER", "ROLE", "TERM", "INDEX", "APPLIED", "DB", "IN USE", "REV/S", "PROP/S", "PENDING",
    "WATCHERS", "FSYNC P99",
)  # fmt: skip
METRICS_BYTES_MAX = 4 << 20
_FSYNC = "etcd_disk_wal_fsync_duration_seconds"
_P99 = 0.99


@dataclass(frozen=True, slots=True)
class Look:
    """One member at one moment. ``values`` are the metrics without labels, ``buckets`` the fsync
    histogram's counts by upper bound."""

    at_s: float
    status: api.StatusResponse
    values: Mapping[str, float] = field(default_factory=dict)
    buckets: Mapping[float, float] = field(default_factory=dict)


@click.command("top", cls=Verb)
@click.option("--interval", type=Duration(), default="2s", help="between two looks")
@click.option("--once", is_flag=True, help="one table, of one interval")
@click.option("--cluster/--no-cluster", default=True, help="all members, or only --endpoints")
@click.option("--clients", is_flag=True, help="the busiest clients, users, prefixes and methods")
@pass_settings
def top(settings: Settings, interval: float, once: bool, cluster: bool, clients: bool) -> None:
    """Roles, positions, sizes and rates of all members, until Ctrl-C. With --clients who asks most
    since the members started, once; they must run with --enable-top-talkers."""
    if clients:
        settings.run(lambda client: _talkers(settings, client, cluster=cluster))
        return
    if interval <= 0:
        raise Failure(f"--interval must be above 0, got {interval:g} s", 128)
    is_live = sys.stdout.isatty() and not once

    async def follow(client: Client) -> None:
        names = await endpoints_of(settings, client, cluster=cluster)
        before = await look_at(settings, client, names)
        if not is_live:
            while True:
                await asyncio.sleep(interval)
                before = _print(settings, before, await look_at(settings, client, names))
                if once:
                    return
        with Live(console=Console(), screen=True) as live:
            live.update(table_of(HEADERS, rows_of(before, before)))
            while True:
                await asyncio.sleep(interval)
                now = await look_at(settings, client, names)
                live.update(_table(before, now))
                before = now

    try:
        settings.run(follow, is_long=True)
    except KeyboardInterrupt:
        return


async def _talkers(settings: Settings, client: Client, *, cluster: bool) -> None:
    await show_talkers(settings, await endpoints_of(settings, client, cluster=cluster))


def _print(
    settings: Settings, before: Sequence[Told[Look]], now: Sequence[Told[Look]]
) -> Sequence[Told[Look]]:
    rows = rows_of(before, now)
    show(
        settings,
        simple=lambda: ["  ".join(HEADERS), *("  ".join(row) for row in rows)],
        table=lambda: _table(before, now),
        json=lambda: [dict(zip(HEADERS, row, strict=False)) for row in rows],
    )
    return now


def _table(before: Sequence[Told[Look]], now: Sequence[Told[Look]]) -> Table:
    return table_of(HEADERS, rows_of(before, now))


async def look_at(settings: Settings, client: Client, names: Sequence[str]) -> Sequence[Told[Look]]:
    async def one(name: str) -> Look:
        status, text = await asyncio.gather(
            client.maintenance.status(name),
            asyncio.to_thread(_scrape, name, settings.connection.command_timeout_s),
        )
        return look_of(time.monotonic(), status, text)

    return await ask_each(names, settings.connection.command_timeout_s, one)


def _scrape(name: str, timeout_s: float) -> str:
    """Nothing if the member has its metrics elsewhere: what they tell is left out then."""
    url = name if "://" in name else f"http://{name}"
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=timeout_s) as answer:
            text: str = answer.read(METRICS_BYTES_MAX).decode()
            return text
    except (OSError, ValueError):
        return ""  # shown as a dash


def look_of(at_s: float, status: api.StatusResponse, metrics: str) -> Look:
    values: dict[str, float] = {}
    buckets: dict[float, float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == f"{_FSYNC}_bucket":
                buckets[float(sample.labels["le"])] = sample.value
            elif not sample.labels:
                values[sample.name] = sample.value
    return Look(at_s, status, values, buckets)


def rows_of(before: Sequence[Told[Look]], now: Sequence[Told[Look]]) -> list[list[str]]:
    earlier = {told.endpoint: told.answer for told in before}
    return [
        _row(told.endpoint, earlier.get(told.endpoint), told.answer, told.error) for told in now
    ]


def _row(name: str, before: Look | None, now: Look | None, error: str) -> list[str]:
    if now is None:
        return [name, f"down: {error}", *("-" for _ in HEADERS[2:])]
    status = now.status
    is_leader = status.leader == status.header.member_id
    role = "leader" if is_leader else "learner" if status.isLearner else "follower"
    return [
        name,
        role if status.leader else f"{role}, no leader known",
        str(status.raftTerm),
        str(status.raftIndex),
        str(status.raftAppliedIndex),
        size(status.dbSize),
        size(status.dbSizeInUse),
        _rate(before, now, lambda look: look.status.header.revision),
        _rate(before, now, lambda look: look.status.raftIndex),
        _number(now, "etcd_server_proposals_pending"),
        _number(now, "etcd_debugging_mvcc_watcher_total"),
        fsync_p99(before, now),
    ]


def _rate(before: Look | None, now: Look, count: Callable[[Look], int]) -> str:
    if before is None or now.at_s <= before.at_s:
        return "-"
    return f"{(count(now) - count(before)) / (now.at_s - before.at_s):.1f}"


def _number(look: Look, name: str) -> str:
    return f"{look.values[name]:.0f}" if name in look.values else "-"


def fsync_p99(before: Look | None, now: Look) -> str:
    """The bucket's upper bound, in ms, of the fsyncs between the two looks."""
    earlier = before.buckets if before is not None and before is not now else {}
    counts = {bound: n - earlier.get(bound, 0) for bound, n in now.buckets.items()}
    total = max(counts.values(), default=0)
    if not total:
        return "-"
    bound = min(bound for bound, count in counts.items() if count >= _P99 * total)
    return f"<={bound * 1000:g}ms"
