"""`raftkv ctl import`: from etcd to raftkv, and back.

Owns: the options of both sides, the progress and the looks. Must never do: read or write keys.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from raftkv.backend.environment import LmdbBackend
from raftkv.cli.connection import Connection
from raftkv.cli.ctl.failure import ERROR, Failure
from raftkv.cli.ctl.go_text import quoted
from raftkv.cli.ctl.key import raw
from raftkv.cli.ctl.verb import Noun, Settings, pass_settings
from raftkv.client import Client
from raftkv.errors import RaftKVError
from raftkv.migration.conversion import convert
from raftkv.migration.etcd_snapshot import EtcdSnapshot
from raftkv.migration.mirror import Difference, Mirror
from raftkv.wal.disk import OsDisk

SHOWN_MAX = 10
"""Differences that are listed; the others are counted."""

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


@click.group("import", cls=Noun)
def import_group() -> None:
    """Move over from etcd, or back: a snapshot file, or a live mirror."""


# --- a file ---


@import_group.command("snapshot")
@click.argument("etcd_file", type=click.Path(dir_okay=False, exists=True))
@click.argument("raftkv_file", type=click.Path(dir_okay=False))
@click.option("--skip-hash-check", is_flag=True, help="for a member's own file, member/snap/db")
@pass_settings
def snapshot(settings: Settings, etcd_file: str, raftkv_file: str, skip_hash_check: bool) -> None:
    """Make a snapshot file of raftkv's from one of etcd's, with all history, leases, users and
    roles; then `raftkv ctl snapshot restore RAFTKV_FILE`, once per member.

    Example: raftkv ctl import snapshot etcd.db raftkv.db"""
    columns = (TextColumn("importing"), TextColumn("{task.completed:,} records"))
    console = Console(stderr=True)
    try:
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
            task = bar.add_task("import", total=None)
            with EtcdSnapshot(etcd_file, check_hash=not skip_hash_check) as source:
                converted = convert(
                    source,
                    raftkv_file,
                    OsDisk(),
                    LmdbBackend,
                    lambda records: bar.update(task, completed=records),
                )
    except (RaftKVError, OSError) as e:
        raise Failure(str(e)) from None
    if settings.format == "json":
        click.echo(json.dumps(asdict(converted)))
        return
    compacted = f", compacted at {converted.compact_revision}"
    click.echo(
        f"{raftkv_file}: {converted.keys} keys with {converted.records} versions up to revision "
        f"{converted.revision}{compacted if converted.compact_revision > 0 else ''}; "
        f"{converted.leases} leases, {converted.users} users, {converted.roles} roles"
    )
    click.echo(f"next, once per member: raftkv ctl snapshot restore {raftkv_file} --help")


# --- a running cluster ---


def _source_options(command: CommandT) -> CommandT:
    for name, text in (
        ("password", "the password of --from-user"),
        ("user", "who reads at the source, name or name:password"),
        ("key", "private key of --from-cert"),
        ("cert", "own certificate for the source, PEM"),
        ("cacert", "the source's CA, PEM"),
    ):
        command = click.option(f"--from-{name}", default="", help=text)(command)
    command = click.option("--prefix", default="", help="only keys that start so")(command)
    return click.option(
        "--from", "origin", required=True, help="endpoints to read from, with commas"
    )(command)


def _source(settings: Settings, endpoints: str, **options: str) -> Connection:
    source = Connection(
        endpoints=tuple(filter(None, (each.strip() for each in endpoints.split(",")))),
        command_timeout_s=settings.connection.command_timeout_s,
    )
    for name, value in options.items():
        setattr(source, name.removeprefix("from_"), value)
    return source


@import_group.command("live")
@_source_options
@click.option("--prune", is_flag=True, help="delete what the source does not have")
@click.option("--once", is_flag=True, help="end when the copy is done, without following")
@pass_settings
def live(
    settings: Settings, /, origin: str, prefix: str, prune: bool, once: bool, **options: str
) -> None:
    """Keep the keys of the cluster --from in the cluster --endpoints: copy what differs, then
    follow every change until Ctrl-C. Either may be etcd.

    Example: raftkv ctl import live --from=10.0.0.1:2379 --endpoints=127.0.0.1:2379"""
    source_settings = _source(settings, origin, **options)

    async def work(target: Client) -> int:
        with _Progress() as told:
            async with source_settings.client() as source:
                mirror = Mirror(source, target, told, prefix=raw(prefix), prune=prune)
                if once:
                    return await mirror.copy()
                await mirror.run()
        raise AssertionError("a mirror ends by an error only")

    try:
        revision = settings.run(work, is_long=True)
    except KeyboardInterrupt:
        click.echo("stopped; the same command goes on from here", err=True)
        return
    click.echo(f"copied the source as it was at revision {revision}")


@import_group.command("verify")
@_source_options
@pass_settings
def verify(settings: Settings, /, origin: str, prefix: str, **options: str) -> None:
    """Compare all keys and values of the two clusters, once nobody writes to the source any more.
    Exits with 1 if they differ.

    Example: raftkv ctl import verify --from=10.0.0.1:2379 --endpoints=127.0.0.1:2379"""
    source_settings = _source(settings, origin, **options)

    async def work(target: Client) -> int:
        count = 0
        async with source_settings.client() as source:
            mirror = Mirror(source, target, _Progress(), prefix=raw(prefix), prune=False)
            async for difference in mirror.differences():
                count += 1
                if count <= SHOWN_MAX:
                    click.echo(_told(difference))
        return count

    count = settings.run(work, is_long=True)
    if count:
        more = f"; {count - SHOWN_MAX} more" if count > SHOWN_MAX else ""
        raise Failure(f"{count} keys differ{more}", ERROR)
    click.echo("the same keys with the same values on both sides")


def _told(difference: Difference) -> str:
    key = quoted(difference.key)
    if difference.source is None:
        return f"- {key} is at the target alone"
    if difference.target is None:
        return f"+ {key} is at the source alone"
    return f"~ {key} has another value, {len(difference.source.value)} bytes at the source"


class _Progress:
    """One line that moves in a terminal; elsewhere a line when something is worth one."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("connecting", total=None)
        self._following = False

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def copied(self, keys: int, written: int) -> None:
        text = f"copying: {keys:,} keys looked at, {written:,} written"
        self._bar.update(self._task, description=text)

    def followed(self, revision: int) -> None:
        self._bar.update(self._task, description=f"following: mirrored up to revision {revision}")
        if not self._following:
            self._following = True
            self._say(f"copied up to revision {revision}; following")

    def copies_again(self, compacted: int) -> None:
        self._following = False
        self._say(f"the history up to {compacted} was compacted away: comparing all keys again")

    def _say(self, text: str) -> None:
        if self._bar.disable:
            click.echo(text, err=True)
        else:
            self._bar.console.print(text, highlight=False)
