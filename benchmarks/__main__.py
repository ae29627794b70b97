"""``python -m benchmarks``: raftkv and etcd on the same work, in turn, on this machine.

Owns: the command line and the progress display. Must never do: measure.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import report
from benchmarks.contest import Contest, Contestant
from benchmarks.list_work import GrpcioListWork, H2loadListWork
from benchmarks.measurement import NotProven, Work
from benchmarks.recovery_work import FailoverWork, RecoveryWork
from benchmarks.unary_work import GetWork, PutWork, VariedPutWork
from benchmarks.watch_work import WatchWork
from tests.e2e.program import ETCD, RAFTKV, ROOT, Program
from tests.e2e.waiting import TimedOut

EVENTS_PER_SECOND_GUESS = 20
# Of a file or a pipe, which has no width of its own.
OUTPUT_COLUMNS = 130
PUT_TARGETS = {1: 1.0, 100: 1.5, 1000: 2.0}
GET_TARGETS = {1: 1.0, 100: 1.3, 1000: 1.3}


def all_works(seconds: float, keys: int) -> Sequence[Work]:
    """Every work, in the order of the table; those that kill members come last."""
    gets = [
        GetWork(clients, seconds, serializable, target)
        for serializable in (False, True)
        for clients, target in GET_TARGETS.items()
    ]
    events = max(5, round(seconds * EVENTS_PER_SECOND_GUESS))
    return [
        *[PutWork(clients, seconds, target) for clients, target in PUT_TARGETS.items()],
        *[VariedPutWork(clients, seconds) for clients in (100, 1000)],
        VariedPutWork(100, seconds, keys=1),
        *gets,
        GrpcioListWork(),
        H2loadListWork(),
        WatchWork(events),
        WatchWork(events, on_follower=True),
        FailoverWork(),
        RecoveryWork(keys),
    ]


GROUPS = sorted({work.group for work in all_works(1, 1)})


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--work", "groups", multiple=True, type=click.Choice(GROUPS), help="Only this group.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=5.0, show_default=True, help="Of each load, about.")
@click.option("--keys", default=100_000, show_default=True, help="Of the group recovery.")
@click.option(
    "--data-dir",
    default=ROOT / "data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where clusters keep their data: on the disk that is to be measured.",
)
@click.option("--raftkv", "raftkv_command", default="", help="Another command for raftkv's side.")
@click.option("--save/--no-save", default=True, help="Write benchmarks/results/DATE.json.")
def main(
    groups: tuple[str, ...],
    rounds: int,
    seconds: float,
    keys: int,
    data_dir: Path,
    raftkv_command: str,
    save: bool,
) -> None:
    """Run raftkv and etcd in turn on the same work and print their figures and ratios.

    Both get three members on loopback, a fresh data directory in every round, and their default
    settings. The ratio is above 1 where raftkv is ahead.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=OUTPUT_COLUMNS)
    mine = Program(tuple(shlex.split(raftkv_command))) if raftkv_command else RAFTKV
    title = "raftkv" if not raftkv_command else Path(mine.command[0]).name + " (left)"
    works = [work for work in all_works(seconds, keys) if not groups or work.group in groups]
    data_dir.mkdir(parents=True, exist_ok=True)
    contest = Contest(Contestant(title, mine), Contestant("etcd", ETCD), works, data_dir)
    try:
        _run(contest, rounds, console)
    except (NotProven, TimedOut, ValueError) as error:
        console.print(f"[red]stopped:[/] {error}")
        sys.exit(1)
    finally:
        console.print(report.table(contest, rounds))
    if save:
        path = report.save(contest, rounds, datetime.now().astimezone())
        console.print(f"written to {path.relative_to(ROOT)}")


def _run(contest: Contest, rounds: int, console: Console) -> None:
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=contest.steps(rounds))
        begun = 0

        def on_step(what: str) -> None:
            nonlocal begun
            progress.update(task, completed=begun, description=what)
            begun += 1

        contest.run(rounds, on_step)


if __name__ == "__main__":
    main()
