"""`raftkv ctl snapshot`: save, status and restore.

Owns: the options, the progress and the looks. Must never do: read or write a database itself.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict, dataclass, replace
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from raftkv.backend.environment import LmdbBackend
from raftkv.backend.image import is_bbolt
from raftkv.backup.image import ImageStatus, check_digest, look_into
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
from raftkv.client import Client
from raftkv.client.snapshot import SaveOptions
from raftkv.errors import Corrupt, RaftKVError
from raftkv.server.config import ServerConfig
from raftkv.server.restore import Restored, restore
from raftkv.wal.disk import OsDisk

_FILE = click.Path(dir_okay=False)
HASH_S_MAX = 300.0
"""How long a member may take to hash its history."""


@click.group("snapshot", cls=Noun)
def snapshot() -> None:
    """Save, look at and restore copies of the whole key space."""


@snapshot.command("save")
@click.argument("path", type=_FILE)
@click.option("--endpoint", default="", help="the one to ask; the first of --endpoints")
@click.option("--rate-limit", type=Size(), default=0, help="bytes a second at most, as 50M")
@click.option(
    "--no-compare", is_flag=True, help="do not ask the member for its hash at that revision"
)
@pass_settings
def save_command(
    settings: Settings, path: str, endpoint: str, rate_limit: float, no_compare: bool
) -> None:
    """Save the database of one member to PATH, and check what was written: its checksum, its
    tables, and its hash against the member's. A lost connection goes on where it was.

    \b
    Example:
      raftkv ctl --endpoints 10.0.0.1:2379 snapshot save backup.db --rate-limit 50M
    """
    with failures("snapshot"):
        saved = asyncio.run(_save(settings, path, endpoint, rate_limit, no_compare))
    click.echo(f"Snapshot saved at {path} ({saved.size} bytes){saved.told}")


@dataclass(frozen=True, slots=True)
class _Saved:
    size: int
    told: str


async def _save(
    settings: Settings, path: str, endpoint: str, rate_bytes_s: float, no_compare: bool
) -> _Saved:
    connection = replace(settings.connection)
    connection.command_timeout_s = max(connection.command_timeout_s, HASH_S_MAX)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True)
    bar = Progress(
        *columns,
        TransferSpeedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    async with connection.client(endpoint or connection.endpoints[0]) as client:
        with bar:
            task = bar.add_task("saving", total=None)
            checking = _Check(client, is_compared=not no_compare)

            def check(part: str) -> None:
                bar.update(task, description="checking")
                checking.check(part)

            options = SaveOptions(
                progress=lambda came, total: bar.update(task, completed=came, total=total),
                check=check,
                rate_bytes_s=rate_bytes_s,
                resumed=lambda offset: bar.console.print(f"connection lost; goes on at {offset}"),
            )
            size = await client.maintenance.snapshot(path, options)
    return _Saved(size, checking.told)


class _Check:
    """Of the file that was written, on a thread, before it gets its name."""

    def __init__(self, client: Client, *, is_compared: bool) -> None:
        self._client = client
        self._is_compared = is_compared
        self._loop = asyncio.get_running_loop()
        self.told = ""

    def check(self, part: str) -> None:
        """Raises Corrupt."""
        check_digest(part)
        if is_bbolt(part):
            self.told = "; it is etcd's: only its checksum was checked"
            return
        status = look_into(part)
        self.told = f", revision {status.revision}, {status.total_keys} keys, hash {status.hash:x}"
        if self._is_compared:
            self.told += self._compare(part, status)

    def _compare(self, part: str, status: ImageStatus) -> str:
        asking = self._client.maintenance.hash_kv(status.revision)
        try:
            theirs = asyncio.run_coroutine_threadsafe(asking, self._loop).result()
        except RaftKVError as error:
            return f" (the member's own hash could not be asked: {error})"
        mine = status.hash
        if theirs.compact_revision > status.compact_revision:
            mine = look_into(part, compacted=theirs.compact_revision).hash
        if mine != theirs.hash:
            raise Corrupt(
                f"the member's hash at revision {status.revision} is {theirs.hash:x} and the "
                f"file's {mine:x}: compare all members with `raftkv ctl endpoint hashkv --cluster`"
            )
        return " (the member's too)"


@snapshot.command("status")
@click.argument("path", type=click.Path(dir_okay=False, exists=True))
@pass_settings
def status_command(settings: Settings, path: str) -> None:
    """Check the file at PATH and say what is in it.

    \b
    Example:
      raftkv ctl snapshot status backup.db -w json
    """
    with failures("snapshot"):
        check_digest(path)
        status = look_into(path)
    if settings.format == "json":
        click.echo(json.dumps(asdict(status)))
        return
    table = Table("HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE")
    table.add_row(
        f"{status.hash:x}", str(status.revision), str(status.total_keys), str(status.total_size)
    )
    Console().print(table)


@snapshot.command("restore")
@click.argument("path", type=click.Path(dir_okay=False, exists=True))
@restore_options
@click.option("--skip-hash-check", is_flag=True, help="do not check the file's checksum")
@pass_settings
def restore_command(
    settings: Settings,
    /,
    path: str,
    skip_hash_check: bool,
    drill: bool,
    drill_dir: str,
    **asked: Any,
) -> None:
    """Make the data directory of one member of a new cluster from PATH. Run it once per member,
    all from one file and with the same --initial-cluster, then start them with the same flags.

    \b
    Examples:
      raftkv ctl snapshot restore backup.db --name m0 --data-dir m0.etcd \\
        --initial-cluster m0=http://10.0.0.1:2380,m1=http://10.0.0.2:2380 \\
        --initial-advertise-peer-urls http://10.0.0.1:2380
      raftkv ctl snapshot restore backup.db --drill
    """
    with failures("snapshot"):
        options = options_of(asked, check_hash=not skip_hash_check)

        def restore_into(config: ServerConfig) -> Restored:
            return restore(path, config, options, OsDisk(), LmdbBackend)

        if drill:
            run_drill(settings, restore_into, drill_dir or os.path.dirname(os.path.abspath(path)))
            return
        config = config_of(asked)
        click.echo(told_of(restore_into(config), config.data_dir))
