"""The `raftkv` command.

Owns: the subcommands and their exit statuses: 0 for success, 2 for a mistake in what was asked, 1
for a failure. Must never do: show a traceback for a user's mistake.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from pathlib import Path

import click

from raftkv import ETCD_VERSION, __version__
from raftkv.cli.completion import FlagCommand, complete_value, completion
from raftkv.cli.ctl.group import ctl
from raftkv.cli.flags import FLAGS
from raftkv.cli.local_plan import BASE_PORT
from raftkv.cli.logs import open_log
from raftkv.cli.settings import CONFIG_FILE, read_settings
from raftkv.errors import ConfigError
from raftkv.raft import core
from raftkv.server.operations import LogSettings

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_BUILD = "" if str(core.__file__).endswith(".py") else ", compiled"
VERSION_TEXT = (
    f"etcd Version: {ETCD_VERSION}\n"
    f"Git SHA: none (raftkv {__version__}{_BUILD})\n"
    f"Go Version: none (Python {platform.python_version()})\n"
    f"Go OS/Arch: {sys.platform}/{_ARCHITECTURES.get(platform.machine(), platform.machine())}"
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message=VERSION_TEXT)
def main() -> None:
    """A replicated key-value store that speaks etcd's v3 API."""


@main.command(
    cls=FlagCommand,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED, shell_complete=complete_value)
def serve(flags: tuple[str, ...]) -> None:
    """Run one member. Takes etcd's flags and ETCD_* variables: see `raftkv serve --help`."""
    if any(flag in ("-h", "--help", "-help") for flag in flags):
        click.echo(_serve_help())
        return
    if any(flag in ("--version", "-version") for flag in flags):
        click.echo(VERSION_TEXT)
        return
    open_log(LogSettings())
    try:
        config = read_settings(flags, os.environ)
        open_log(config.operations.log)
    except ConfigError as e:
        click.echo(f"raftkv serve: {e}", err=True)
        sys.exit(2)
    from raftkv.cli.process import run

    sys.exit(run(config))


main.add_command(ctl)
main.add_command(completion)


DATA_DIR = click.Path(file_okay=False, path_type=Path)


@main.command()
@click.option("--members", type=click.Choice(["1", "3", "5"]), default="3", show_default=True)
@click.option("--data-dir", type=DATA_DIR, default=Path("raftkv-data"), show_default=True)
@click.option(
    "--base-port", type=int, default=BASE_PORT, show_default=True, help="first client port"
)
@click.option("--no-ui", is_flag=True, help="serve no web page")
@click.option("--program", hidden=True, default="", help="run this instead of raftkv serve")
def local(members: str, data_dir: Path, base_port: int, no_ui: bool, program: str) -> None:
    """Run a whole cluster on this machine, until Ctrl-C, with a web page that shows it."""
    from raftkv.cli.local import run_local
    from raftkv.cli.local_plan import plan

    try:
        has_ui = not (no_ui or program)
        places = plan(int(members), base_port, data_dir.resolve(), has_ui=has_ui)
        sys.exit(run_local(places, data_dir.resolve(), tuple(program.split())))
    except ConfigError as e:
        click.echo(f"raftkv local: {e}", err=True)
        sys.exit(2)


_RUNNING_DATA_DIR = click.option(
    "--data-dir", type=DATA_DIR, default=Path("raftkv-data"), show_default=True
)


@main.command("local-restart")
@click.argument("name")
@_RUNNING_DATA_DIR
def local_restart(name: str, data_dir: Path) -> None:
    """Start a member of a running `raftkv local` that is down; "all" for all of them."""
    _ask_local("local-restart", data_dir, "start", name)


@main.command("local-kill")
@click.argument("name")
@_RUNNING_DATA_DIR
def local_kill(name: str, data_dir: Path) -> None:
    """Kill a member of a running `raftkv local`, as kill -9 does; "leader" for the one that leads.

    Example: raftkv local-kill leader"""
    _ask_local("local-kill", data_dir, "kill", name)


def _ask_local(command: str, data_dir: Path, do: str, name: str) -> None:
    from raftkv.cli.local_desk import ask

    try:
        click.echo(asyncio.run(ask(data_dir.resolve(), do, name)))
    except ConfigError as e:
        click.echo(f"raftkv {command}: {e}", err=True)
        sys.exit(2)


def _serve_help() -> str:
    lines = ["Usage: raftkv serve [FLAGS]", "", "Flags, each also as a variable ETCD_<NAME>:", ""]
    for flag in (*FLAGS, CONFIG_FILE):
        default = f" (default {flag.default})" if flag.default else ""
        lines.append(f"  --{flag.name}\n        {flag.help}{default}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
