"""``python -m jepsen_like``: run, check, report, list, and for the simulation replay, simulate.

Owns: the command line and its exit codes: 0 valid, 1 invalid, 2 unknown, and 2 for a usage error.
Must never do: keep anything for later that is not in the directory: ``check`` on another machine
says what ``run`` said.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from jepsen_like import catalogue
from jepsen_like.checkers.verdict import Validity, Verdict, overall
from jepsen_like.cluster.cluster import TimedOut
from jepsen_like.cluster.program import NAMES, Program, program_named
from jepsen_like.cluster.small_disk import DiskError
from jepsen_like.history.history import History
from jepsen_like.history.journal import load
from jepsen_like.nemesis import registry
from jepsen_like.preload.library import BuildError
from jepsen_like.report import page
from jepsen_like.run import HISTORY, Run, Settings
from jepsen_like.simulated.commands import replay, simulate
from jepsen_like.view import RunView, show_verdicts
from jepsen_like.workloads.session import Workload

EXIT_CODES = {Validity.VALID: 0, Validity.INVALID: 1, Validity.UNKNOWN: 2}
SEED_BITS = 32
REPORT = "report.html"

_DIRECTORY = click.argument(
    "directory", type=click.Path(path_type=Path, exists=True, file_okay=False)
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Break a cluster on purpose, and judge from outside whether it stayed whole."""


@main.command("run")
@click.option("--workload", required=True, help="What clients do; see list.")
@click.option("--nemesis", default="kill", show_default=True, help="What breaks, also a,b,c.")
@click.option("--time", "time_s", default=60.0, show_default=True, type=click.FloatRange(1))
@click.option("--members", default=3, show_default=True, type=click.IntRange(1, 9))
@click.option("--db", default="raftkv", show_default=True, type=click.Choice(NAMES))
@click.option("--binary", default="", help="Instead of the installed raftkv or etcd.")
@click.option("--flag", "flags", multiple=True, help="For every member, such as --flag=--pre-vote")
@click.option("--seed", type=click.IntRange(0), help="Of clients and faults; drawn if not given.")
@click.option("--rate", default=200.0, show_default=True, type=click.FloatRange(0.1))
@click.option("--clients", default=10, show_default=True, type=click.IntRange(1, 999))
@click.option("--timeout", "timeout_s", default=1.0, show_default=True, help="Of one operation.")
@click.option("--hold", "hold_s", default=4.0, show_default=True, help="Longest fault, seconds.")
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False))
def run_command(
    workload: str,
    nemesis: str,
    time_s: float,
    members: int,
    db: str,
    binary: str,
    flags: Sequence[str],
    seed: int | None,
    rate: float,
    clients: int,
    timeout_s: float,
    hold_s: float,
    directory: Path | None,
) -> None:
    """Run real members, break them, and judge what clients saw."""
    seed = secrets.randbits(SEED_BITS) if seed is None else seed
    settings = Settings(
        workload, nemesis, seed, db, members, time_s, rate, clients, timeout_s, binary, hold_s
    )
    place = directory or Path("jepsen-runs") / f"{workload}-{nemesis}-{db}-{seed}"
    program = _program(db, binary, flags)
    chosen = _workload(workload)
    try:
        nemesis_of_run = registry.nemesis_named(nemesis, hold_s)
        for one in (chosen, nemesis_of_run):
            catalogue.require_features(one, program, is_root=os.geteuid() == 0)
    except ValueError as e:
        raise click.UsageError(str(e)) from None
    _make_empty(place)
    console = Console()
    console.print(f"seed {seed}, in {place}", highlight=False, soft_wrap=True)
    with RunView(console, settings) as view:

        async def execute() -> None:
            await Run(settings, chosen, nemesis_of_run, program, place, view.look).execute()

        try:
            asyncio.run(execute())
        except KeyboardInterrupt:
            raise click.UsageError(f"interrupted; what was seen is in {place}") from None
        except (BuildError, DiskError) as e:
            raise click.UsageError(f"{nemesis} cannot be had here: {e}") from None
        except TimedOut as e:
            raise click.UsageError(f"{program.name} does not start: {e}; see {place}") from None
    _judge(console, chosen, _history(place))


@main.command()
@_DIRECTORY
def check(directory: Path) -> None:
    """Judge the history of DIRECTORY again."""
    history = _history(directory)
    _judge(Console(), _workload_of(history), history)


@main.command()
@_DIRECTORY
def report(directory: Path) -> None:
    """Write DIRECTORY/report.html, one page to read in a browser."""
    history = _history(directory)
    verdicts = _workload_of(history).check(history)
    page.write(history, verdicts, directory / REPORT)
    click.echo(directory / REPORT)


@main.command("list")
def list_command() -> None:
    """Workloads, nemeses and checkers."""
    console = Console()
    console.print("workloads: " + ", ".join(catalogue.workload_names()), highlight=False)
    for title, named in (("nemeses", registry.names()), ("checkers", catalogue.checkers())):
        console.print(f"{title}:", highlight=False)
        for name, about in named.items():
            console.print(f"  {name:14} {about}", highlight=False, soft_wrap=True)


main.add_command(replay)
main.add_command(simulate)


def _program(db: str, binary: str, flags: Sequence[str]) -> Program:
    program = program_named(db, binary, flags)
    if shutil.which(program.command[0]) is None:
        raise click.BadParameter(f"no program {program.command[0]!r}", param_hint="--binary")
    return program


def _workload(name: str) -> Workload:
    try:
        return catalogue.workload_named(name)
    except ValueError as e:
        raise click.BadParameter(str(e), param_hint="--workload") from None


def _workload_of(history: History) -> Workload:
    return _workload(str(history.settings.get("workload", "")))


def _history(directory: Path) -> History:
    path = directory / HISTORY
    if not path.exists():
        raise click.UsageError(f"{directory} has no {HISTORY}")
    try:
        return load(path)
    except ValueError as e:
        raise click.UsageError(str(e)) from None


def _make_empty(directory: Path) -> None:
    """Members that find the data of another run would tell its story."""
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise click.BadParameter(f"{directory} is not empty", param_hint="--dir")


def _judge(console: Console, workload: Workload, history: History) -> None:
    verdicts: list[Verdict] = workload.check(history)
    show_verdicts(console, verdicts)
    sys.exit(EXIT_CODES[overall(verdicts)])
