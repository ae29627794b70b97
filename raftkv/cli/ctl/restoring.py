"""What `snapshot restore` and `backup restore` share: their options, and what they say.

Owns: the options of a restore, the drill's table, and how a failure is told. Must never do: know
where the data comes from. Exit statuses are the `raftkv` command's: 2 for what was asked wrongly,
1 for a failure.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click

from raftkv.backend.environment import LmdbBackend
from raftkv.backup.drill import Drill, RestoreInto, Step
from raftkv.cli.ctl.output import show, table_of
from raftkv.cli.ctl.verb import Settings
from raftkv.cli.flags import parse_cluster, parse_urls
from raftkv.errors import ConfigError, PermissionDenied, RaftKVError, UserEmpty
from raftkv.server.config import ServerConfig
from raftkv.server.restore import BUMP_REVISION, Restored, RestoreOptions

SERVE = (sys.executable, "-m", "raftkv.cli.main", "serve")


def restore_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Those of a data directory to be made; ``config_of`` and ``options_of`` read them."""
    options = (
        click.option("--name", default="default", show_default=True, help="this member's name"),
        click.option("--data-dir", default="", help="the directory to make; NAME.etcd by default"),
        click.option("--wal-dir", default="", help="where the log is to be; in the data directory"),
        click.option(
            "--initial-cluster",
            default="default=http://localhost:2380",
            show_default=True,
            help="all members of the new cluster: name=URL,name=URL",
        ),
        click.option("--initial-cluster-token", default="etcd-cluster", show_default=True),
        click.option(
            "--initial-advertise-peer-urls", default="http://localhost:2380", show_default=True
        ),
        click.option(
            "--bump-revision",
            type=int,
            help=f"go on this many revisions later, and compacted there (default {BUMP_REVISION})",
        ),
        click.option("--mark-compacted", is_flag=True, help="accepted: it is always done"),
        click.option(
            "--no-bump",
            is_flag=True,
            help="UNSAFE: go on at the backup's revision; clients' caches stay wrong silently",
        ),
        click.option("--drill", is_flag=True, help="practise: restore, start, read back, clean up"),
        click.option(
            "--drill-dir", default="", help="where the drill puts its data; by the backup"
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def config_of(asked: dict[str, Any]) -> ServerConfig:
    """Raises ConfigError."""
    name: str = asked["name"]
    try:
        return ServerConfig(
            name=name,
            data_dir=asked["data_dir"] or f"{name}.etcd",
            wal_dir=asked["wal_dir"],
            initial_cluster=parse_cluster(asked["initial_cluster"]),
            initial_cluster_token=asked["initial_cluster_token"],
            initial_advertise_peer_urls=parse_urls(asked["initial_advertise_peer_urls"]),
        )
    except ValueError as e:
        raise ConfigError(str(e)) from None


def options_of(asked: dict[str, Any], *, check_hash: bool = True) -> RestoreOptions:
    """Raises ConfigError."""
    bump = asked["bump_revision"]
    if asked["no_bump"] and (bump or asked["mark_compacted"]):
        raise ConfigError("--no-bump stands against --bump-revision and --mark-compacted")
    if bump == 0 and not asked["no_bump"]:
        raise ConfigError(
            "--bump-revision 0 leaves clients' caches wrong; if nobody has any, say --no-bump"
        )
    if asked["no_bump"]:
        return RestoreOptions(0, check_hash)
    return RestoreOptions(BUMP_REVISION if bump is None else bump, check_hash)


def told_of(restored: Restored, data_dir: str) -> str:
    text = f"restored {data_dir} at revision {restored.saved_revision}"
    if restored.revision == restored.saved_revision:
        return (
            f"{text}\nWARNING: the new cluster goes on at that revision: whoever saw a later one "
            "keeps what it knows, wrong as it may be. Restart every client that watches or caches"
        )
    return (
        f"{text}; the new cluster goes on at {restored.revision} and is compacted there: "
        "watches from before are cancelled, and their clients list anew"
    )


def run_drill(settings: Settings, restore_into: RestoreInto, directory: str) -> None:
    """The steps with their times, as they are done; the table at the end. Raises Corrupt."""
    is_talking = settings.format == "simple"

    def told(step: Step) -> None:
        if is_talking:
            click.echo(f"{step.seconds:8.2f} s  {step.name:<16} {step.found}")

    drill = Drill(restore_into, LmdbBackend, SERVE, directory, told)
    steps = asyncio.run(drill.run())
    whole = sum(step.seconds for step in steps if step.name in ("restore", "start a member"))
    if is_talking:
        click.echo(f"{whole:8.2f} s  until the restored data is served again; the drill is passed")
        return
    show(
        settings,
        table=lambda: table_of(
            ("STEP", "SECONDS", "FOUND"),
            [(step.name, f"{step.seconds:.2f}", step.found) for step in steps],
        ),
        json=lambda: {"steps": [asdict(step) for step in steps], "recovery_seconds": whole},
    )


@contextmanager
def failures(program: str) -> Iterator[None]:
    """Errors as one line and a status."""
    try:
        yield
    except (RaftKVError, OSError, TimeoutError) as error:
        click.echo(f"raftkv ctl {program}: {_text(error)}", err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        advice = "; make room there, and run it again" if error.errno == 28 else ""
        return f"{where}{error.strerror}{advice}"
    if isinstance(error, UserEmpty | PermissionDenied):
        return f"{error}; backups are for the role root: give --user"
    return str(error) or "timed out"
