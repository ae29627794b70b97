"""`raftkv ctl snapshot`: save, status and restore.

Owns: the options, the progress and the looks. Must never do: read or write a database itself.
Exit statuses are the `raftkv` command's: 2 for what was asked wrongly, 1 for a failure.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from raftkv.backend.environment import LmdbBackend
from raftkv.backend.schema import Table as Rows
from raftkv.cli.ctl.verb import Noun, Settings, pass_settings
from raftkv.cli.flags import parse_cluster, parse_urls
from raftkv.errors import ConfigError, RaftKVError
from raftkv.mvcc.store import Store
from raftkv.server.config import ServerConfig
from raftkv.server.restore import RestoreOptions, restore, unpack
from raftkv.wal.disk import OsDisk

_FILE = click.Path(dir_okay=False)


@click.group("snapshot", cls=Noun)
def snapshot() -> None:
    """Save, look at and restore copies of the whole key space."""


@snapshot.command("save")
@click.argument("path", type=_FILE)
@click.option("--endpoint", default="", help="the one to ask; the first of --endpoints")
@pass_settings
def save_command(settings: Settings, path: str, endpoint: str) -> None:
    """Save the database of one member to PATH."""
    connection = settings.connection

    async def save(told: Callable[[int, int], None]) -> int:
        async with connection.client(endpoint or connection.endpoints[0]) as client:
            return await client.maintenance.snapshot(path, progress=told)

    columns = (TextColumn("saving"), BarColumn(), DownloadColumn())
    with _failures(), Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("save", total=None)
        size = asyncio.run(save(lambda came, total: bar.update(task, completed=came, total=total)))
        bar.stop()
        click.echo(f"Snapshot saved at {path} ({size} bytes)")


@dataclass(frozen=True, slots=True)
class SnapshotStatus:
    """``hash`` is HashKV's at ``revision``: that of a member at the same revision is equal."""

    hash: int
    revision: int
    total_keys: int
    total_size: int


@snapshot.command("status")
@click.argument("path", type=click.Path(dir_okay=False, exists=True))
@pass_settings
def status_command(settings: Settings, path: str) -> None:
    """Check the file at PATH and say what is in it."""
    with _failures():
        status = status_of(path)
    if settings.format == "json":
        click.echo(json.dumps(asdict(status)))
        return
    table = Table("HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE")
    table.add_row(
        f"{status.hash:x}", str(status.revision), str(status.total_keys), str(status.total_size)
    )
    Console().print(table)


def status_of(path: str) -> SnapshotStatus:
    """Looks into a copy: opening a database writes to it. Raises Corrupt and OSError."""
    with tempfile.TemporaryDirectory(dir=Path(path).absolute().parent) as directory:
        image = f"{directory}/db"
        unpack(path, image, OsDisk())
        backend = LmdbBackend(image)
        try:
            store = Store(backend)
            result = store.hash_kv(0)
            keys, _ = backend.count(Rows.LATEST, b"", None)
        finally:
            backend.close()
    return SnapshotStatus(result.hash, result.hash_revision, keys, Path(path).stat().st_size)


@snapshot.command("restore")
@click.argument("path", type=click.Path(dir_okay=False, exists=True))
@click.option("--name", default="default", show_default=True, help="this member's name")
@click.option("--data-dir", default="", help="the directory to make; NAME.etcd by default")
@click.option("--wal-dir", default="", help="where the log is to be; in the data directory")
@click.option(
    "--initial-cluster",
    default="default=http://localhost:2380",
    show_default=True,
    help="all members of the new cluster: name=URL,name=URL",
)
@click.option("--initial-cluster-token", default="etcd-cluster", show_default=True)
@click.option("--initial-advertise-peer-urls", default="http://localhost:2380", show_default=True)
@click.option("--bump-revision", default=0, help="go on this many revisions later")
@click.option("--mark-compacted", is_flag=True, help="compact at the revision gone on from")
@click.option("--skip-hash-check", is_flag=True, help="do not check the file's checksum")
def restore_command(
    path: str,
    name: str,
    data_dir: str,
    wal_dir: str,
    initial_cluster: str,
    initial_cluster_token: str,
    initial_advertise_peer_urls: str,
    bump_revision: int,
    mark_compacted: bool,
    skip_hash_check: bool,
) -> None:
    """Make the data directory of one member of a new cluster from PATH. Run it once per member,
    each with the same --initial-cluster, then start them with the same flags."""
    with _failures():
        try:
            config = ServerConfig(
                name=name,
                data_dir=data_dir or f"{name}.etcd",
                wal_dir=wal_dir,
                initial_cluster=parse_cluster(initial_cluster),
                initial_cluster_token=initial_cluster_token,
                initial_advertise_peer_urls=parse_urls(initial_advertise_peer_urls),
            )
        except ValueError as e:
            raise ConfigError(str(e)) from None
        options = RestoreOptions(bump_revision, mark_compacted, not skip_hash_check)
        revision = restore(path, config, options, OsDisk(), LmdbBackend)
    click.echo(f"restored {config.data_dir} at revision {revision}")


class _failures:
    """Errors as one line and a status."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, RaftKVError | OSError | TimeoutError):
            click.echo(f"raftkv ctl snapshot: {error or 'timed out'}", err=True)
            sys.exit(2 if isinstance(error, ConfigError) else 1)
