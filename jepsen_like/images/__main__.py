"""``python -m jepsen_like.images``: crash images by the thousand, with progress and a table.

Owns: the command line. A script gives some hundred points at which the power can go; the run goes
from script to script, every third one on a cluster of three members that lose power together.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from jepsen_like.images.campaign import (
    BROKEN_MAX,
    Plot,
    Report,
    images,
    judge_all,
    judge_failed_sync,
    perform,
)
from jepsen_like.images.judge import materialise
from jepsen_like.images.mutant import MUTANTS
from jepsen_like.images.recipe import Recipe, doubtful_points, drawn, plain_cuts, torn_writes

RAM = Path("/dev/shm")
CHANCES_PER_SCRIPT = 800
CLUSTER_EVERY = 3


@dataclass(slots=True)
class Total:
    """All scripts together."""

    scripts: int = 0
    distinct: int = 0
    built: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def add(self, plot: Plot, report: Report) -> None:
        self.scripts += 1
        self.distinct += report.distinct
        self.built += report.built
        for broken in report.broken:
            self.broken.append(f"{plot.seed}/{plot.members}/{broken.recipe}: {broken.reason}")


@click.command()
@click.option("--images", "count", default=20_000, help="Stop after so many.", show_default=True)
@click.option("--seed", default=1, help="Of the first script.", show_default=True)
@click.option("--requests", default=60, help="Of one script.", show_default=True)
@click.option("--mutant", default="", type=click.Choice(["", *MUTANTS]), help="Plant a bug.")
@click.option("--fail-syncs", is_flag=True, help="Fail each sync of one script, one by one.")
@click.option("--rebuild", default="", metavar="SCRIPT/MEMBERS/IMAGE", help="As a report names it.")
@click.option("--into", type=click.Path(path_type=Path), help="Where --rebuild puts the files.")
def main(
    count: int,
    seed: int,
    requests: int,
    mutant: str,
    fail_syncs: bool,
    rebuild: str,
    into: Path | None,
) -> None:
    """Record what members write, cut the power at every point, and open what is left."""
    if rebuild:
        _rebuild(rebuild, requests, mutant, into)
        return
    console = Console()
    total = Total()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    with bar:
        if fail_syncs:
            _fail_each_sync(Plot(seed, requests, mutant=mutant), total, bar)
        else:
            _judge_scripts(count, seed, requests, mutant, total, bar)
    console.print(_table(total))
    for line in total.broken:
        console.print(f"[red]broken[/red] {line}", highlight=False)
    sys.exit(1 if total.broken else 0)


def _judge_scripts(
    count: int, seed: int, requests: int, mutant: str, total: Total, bar: Progress
) -> None:
    task = bar.add_task("crash images", total=count)
    while total.built.total() < count and len(total.broken) < BROKEN_MAX:
        members = 3 if total.scripts % CLUSTER_EVERY == CLUSTER_EVERY - 1 else 1
        plot = Plot(seed + total.scripts, requests, members, mutant)
        bar.update(task, description=f"script {plot.seed}, {members} members")
        _judge_script(plot, count, total, bar, task)


def _fail_each_sync(plot: Plot, total: Total, bar: Progress) -> None:
    with tempfile.TemporaryDirectory(prefix="images-", dir=_scratch()) as scratch:
        syncs = perform(plot, Path(scratch) / "unharmed").stream.syncs
        task = bar.add_task("failing syncs", total=len(syncs))
        for number in range(1, len(syncs) + 1):
            total.add(plot, judge_failed_sync(plot, number, Path(scratch) / str(number)))
            bar.advance(task)


def _judge_script(plot: Plot, count: int, total: Total, bar: Progress, task: TaskID) -> None:
    with tempfile.TemporaryDirectory(prefix="images-", dir=_scratch()) as scratch:
        stream = perform(plot, Path(scratch)).stream
        recipes = _recipes(plot, doubtful_points(stream), torn_writes(stream))
        recipes = recipes[: count - total.built.total()]
        report = judge_all(plot, stream, recipes, Path(scratch), done=lambda r: bar.advance(task))
    total.add(plot, report)


def _recipes(plot: Plot, points: list[int], torn: list[Recipe]) -> list[Recipe]:
    return plain_cuts(points) + drawn(points, plot.seed, CHANCES_PER_SCRIPT) + torn


def _rebuild(name: str, requests: int, mutant: str, into: Path | None) -> None:
    """Write one image's files, to look at them or to start a member on them."""
    if into is None:
        raise click.UsageError("--rebuild needs --into DIRECTORY")
    seed, members, recipe = name.split("/")
    plot = Plot(int(seed), requests, int(members), mutant)
    with tempfile.TemporaryDirectory(prefix="images-", dir=_scratch()) as scratch:
        stream = perform(plot, Path(scratch)).stream
    for _, image in images(stream, [Recipe.parse(recipe)]):
        materialise(image, into)
    click.echo(f"{into} holds the image")


def _scratch() -> Path | None:
    """Images and what is recorded are written to memory where there is some: the cuts are made of
    the recorded calls, whatever file system carried them out."""
    return RAM if RAM.is_dir() else None


def _table(total: Total) -> Table:
    table = Table("images", "count", title=f"{total.scripts} recordings")
    for kind, number in sorted(total.built.items()):
        table.add_row(kind, f"{number:,}")
    table.add_row("together", f"{total.built.total():,}", style="bold")
    table.add_row("that differ, so judged", f"{total.distinct:,}")
    table.add_row("broken", f"{len(total.broken):,}", style="red" if total.broken else "green")
    return table


if __name__ == "__main__":
    main()
