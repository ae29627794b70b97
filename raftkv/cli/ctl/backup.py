"""`raftkv ctl backup`: run, list, verify and restore.

Owns: the options and the looks. Must never do: the work; ``raftkv.backup`` does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click

from raftkv.backend.environment import LmdbBackend
from raftkv.backup.directory import BackupDirectory
from raftkv.backup.follower import Follower, FollowOptions
from raftkv.backup.restoring import RestoredPoint, restore_point
from raftkv.backup.timeline import (
    Point,
    point_at_end,
    point_at_revision,
    point_at_time,
    time_text,
)
from raftkv.backup.verification import Row, rows_of, verify
from raftkv.cli.connection import Duration
from raftkv.cli.ctl.output import show, table_of
from raftkv.cli.ctl.restoring import (
    config_of,
    failures,
    options_of,
    restore_options,
    run_drill,
    told_of,
)
from raftkv.cli.ctl.size import Size
from raftkv.cli.ctl.verb import Noun, Settings, pass_settings
from raftkv.cli.logs import open_log
from raftkv.errors import ConfigError, Corrupt
from raftkv.server.config import ServerConfig
from raftkv.server.operations import LogSettings
from raftkv.server.restore import Restored
from raftkv.wal.disk import OsDisk

_DIRECTORY = click.Path(file_okay=False)
_THERE = click.Path(file_okay=False, exists=True)


@click.group("backup", cls=Noun)
def backup() -> None:
    """Continuous backups with every revision, and the way back to any of them."""


@backup.command("run")
@click.option("--to", "directory", type=_DIRECTORY, required=True, help="where the backup is kept")
@click.option("--base-interval", type=Duration(), default=3600.0, help="between bases (1h)")
@click.option(
    "--keep", type=click.IntRange(1), default=3, show_default=True, help="how many bases to keep"
)
@click.option("--rate-limit", type=Size(), default=0, help="for bases, bytes a second, as 50M")
@click.option("--log-format", type=click.Choice(["console", "json"]), default="console")
@pass_settings
def run_command(
    settings: Settings,
    directory: str,
    base_interval: float,
    keep: int,
    rate_limit: float,
    log_format: str,
) -> None:
    """Follow the cluster until SIGINT or SIGTERM: every revision is in the directory, durable,
    within a second; a whole base is saved now and then.

    \b
    Example:
      raftkv ctl --endpoints 10.0.0.1:2379,10.0.0.2:2379 backup run --to /backup --keep 24
    """
    with failures("backup"):
        if base_interval <= 0:
            raise ConfigError(f"--base-interval must be above 0 s, got {base_interval:g}")
        open_log(LogSettings(format=log_format))
        options = FollowOptions(base_interval, keep, rate_limit)
        asyncio.run(_follow(settings, os.path.abspath(directory), options))


async def _follow(settings: Settings, path: str, options: FollowOptions) -> None:
    directory = BackupDirectory(OsDisk(), path)
    lock = directory.lock()
    try:
        async with replace(settings.connection).client() as client:
            follower = Follower(client, directory, options, lambda: time.time_ns() // 1_000_000)
            following = asyncio.ensure_future(follower.run())
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, following.cancel)
            await asyncio.wait([following])
            if not following.cancelled():
                following.result()
    finally:
        lock.close()


@backup.command("list")
@click.argument("directory", type=_THERE)
@pass_settings
def list_command(settings: Settings, directory: str) -> None:
    """What can be restored from DIRECTORY: bases, and the log behind them. -w json too.

    \b
    Example:
      raftkv ctl backup list /backup
    """
    with failures("backup"):
        rows = rows_of(BackupDirectory(OsDisk(), os.path.abspath(directory)))
        _show_rows(settings, rows)


@backup.command("verify")
@click.argument("directory", type=_THERE)
@pass_settings
def verify_command(settings: Settings, directory: str) -> None:
    """Read all of DIRECTORY: every checksum, every link from file to file, and that the log leads
    from each base to the next one's hash. Status 1 if anything is wrong.

    \b
    Example:
      raftkv ctl backup verify /backup
    """
    with failures("backup"):
        rows = verify(BackupDirectory(OsDisk(), os.path.abspath(directory)), LmdbBackend)
        _show_rows(settings, rows)
        wrong = [row for row in rows if row.problem]
        if wrong:
            raise Corrupt(f"{len(wrong)} of {len(rows)} files are damaged: {wrong[0].problem}")


def _show_rows(settings: Settings, rows: list[Row]) -> None:
    headers = ("CHAIN", "WHAT", "FROM", "TO", "TIME", "SIZE", "STATE")
    cells = [
        (
            row.chain,
            row.what,
            row.first_revision,
            row.last_revision,
            time_text(row.time_ms),
            row.size,
            row.problem or row.note or "ok",
        )
        for row in rows
    ]
    show(
        settings,
        simple=lambda: ["  ".join(headers), *("  ".join(map(str, row)) for row in cells)],
        table=lambda: table_of(headers, cells),
        json=lambda: [dict(zip(map(str.lower, headers), row, strict=True)) for row in cells],
    )


@backup.command("restore")
@click.argument("directory", type=_THERE)
@click.option("--to-revision", type=click.IntRange(1), help="the last revision to have")
@click.option("--to-time", help="the state at this time, ISO 8601: 2026-11-21T20:15:00Z")
@restore_options
@pass_settings
def restore_command(
    settings: Settings,
    /,
    directory: str,
    to_revision: int | None,
    to_time: str | None,
    drill: bool,
    drill_dir: str,
    **asked: Any,
) -> None:
    """Make the data directory of one member of a new cluster from DIRECTORY, as of a revision, of a
    time, or of the end. Run it once per member, with the same revision and --initial-cluster.

    \b
    Examples:
      raftkv ctl backup restore /backup --to-time 2026-11-21T20:15:00Z --data-dir m0.etcd
      raftkv ctl backup restore /backup --drill
    """
    with failures("backup"):
        found = BackupDirectory(OsDisk(), os.path.abspath(directory))
        point = _point(found, to_revision, to_time)
        options = options_of(asked)
        done: list[RestoredPoint] = []

        def restore_into(config: ServerConfig) -> Restored:
            done.append(restore_point(found, point, config, options, LmdbBackend))
            return done[0].restored

        if drill:
            run_drill(settings, restore_into, drill_dir or os.path.dirname(found.path))
            return
        config = config_of(asked)
        click.echo(told_of(restore_into(config), config.data_dir))
        _tell(point, done[0])


def _point(directory: BackupDirectory, revision: int | None, moment: str | None) -> Point:
    if revision is not None and moment is not None:
        raise ConfigError("--to-revision and --to-time stand against each other: give one")
    if revision is not None:
        return point_at_revision(directory, revision)
    if moment is not None:
        return point_at_time(directory, _time_ms(moment))
    return point_at_end(directory)


def _time_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"--to-time {text!r} is no time: 2026-11-21T20:15:00Z is one; without a zone it is UTC"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _tell(point: Point, done: RestoredPoint) -> None:
    replayed = done.replayed
    click.echo(
        f"from the base at revision {point.base.revision} and {replayed.revisions} revisions "
        f"behind it; hash {done.hash.hash:x}, compacted at {done.hash.compact_revision}"
    )
    if point.is_after_end:
        click.echo("WARNING: the backup ends before that time: this is its last revision", err=True)
    if replayed.torn_bytes:
        click.echo(
            f"WARNING: {replayed.torn_bytes} bytes at the log's end cannot be read", err=True
        )
    if replayed.lost_leases:
        some = ", ".join(f"{lease:x}" for lease in sorted(replayed.lost_leases)[:3])
        click.echo(
            f"WARNING: {len(replayed.lost_leases)} leases are not in the backup ({some}): "
            "the keys on them stay until they are deleted",
            err=True,
        )
