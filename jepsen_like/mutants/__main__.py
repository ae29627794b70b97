"""``python -m jepsen_like.mutants``: plant each bug, and see who notices.

Owns: the command line, the bar and the table. Exit code 0 when every mutant was killed by a checker
that is meant to, 1 otherwise.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from statistics import median

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from jepsen_like.mutants.catalogue import MUTANTS, mutant_named
from jepsen_like.mutants.hunter import hunt_all
from jepsen_like.mutants.images import IMAGE_MUTANTS
from jepsen_like.mutants.result import Result

IMAGES = "crash images"


@click.command()
@click.argument("names", nargs=-1)
@click.option("--first-seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--seeds", default=2000, show_default=True, help="At most so many for each.")
@click.option("--seconds", default=300.0, show_default=True, help="Of one core, for each.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, type=click.IntRange(1))
@click.option("--list", "list_only", is_flag=True, help="Only say what there is.")
def main(
    names: tuple[str, ...], first_seed: int, seeds: int, seconds: float, jobs: int, list_only: bool
) -> None:
    """Plant the mutants NAMES (by default all), and see which checker notices."""
    console = Console()
    chosen = [_known(name) for name in names] or [m.name for m in MUTANTS] + list(IMAGE_MUTANTS)
    if list_only:
        _list(console, chosen)
        return
    bar = Progress(
        TextColumn("mutants"),
        BarColumn(40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[last]}"),
        console=console,
    )
    with bar:
        task = bar.add_task("mutants", total=len(chosen), last="")

        def look(result: Result) -> None:
            last = f"{result.mutant}: {result.caught_by or 'not caught'}"
            bar.update(task, advance=1, last=last)

        results = hunt_all(
            chosen,
            first_seed=first_seed,
            seeds_max=seeds,
            seconds_max=seconds,
            jobs=jobs,
            look=look,
        )
    sys.exit(_report(console, results))


def _known(name: str) -> str:
    if name in IMAGE_MUTANTS:
        return name
    try:
        return mutant_named(name).name
    except ValueError as e:
        raise click.BadParameter(str(e), param_hint="NAMES") from None


def _list(console: Console, names: Sequence[str]) -> None:
    for name in names:
        if name in IMAGE_MUTANTS:
            console.print(f"     {name}: {IMAGE_MUTANTS[name]}", highlight=False, soft_wrap=True)
        else:
            mutant = mutant_named(name)
            line = f"{mutant.number:4} {mutant.name}: {mutant.what}"
            console.print(line, highlight=False, soft_wrap=True)


def _tier(name: str) -> str:
    if name in IMAGE_MUTANTS:
        return IMAGES
    return "tests" if mutant_named(name).schedule else "simulation"


def _report(console: Console, results: Sequence[Result]) -> int:
    """Print the table; the exit code."""
    table = Table("mutant", "tier", "caught by", "seed", "tried", "CPU s", box=None, pad_edge=False)
    failed = 0
    for result in results:
        image = result.mutant in IMAGE_MUTANTS
        meant = image or result.caught_by in mutant_named(result.mutant).checkers
        failed += not (result.killed and meant)
        style = "" if result.killed and meant else "bold red"
        caught = result.caught_by or "NOT CAUGHT"
        if result.killed and not meant:
            caught += " (not the one that should)"
        table.add_row(
            result.mutant,
            _tier(result.mutant),
            caught,
            str(result.seed) if result.killed else "",
            str(result.seeds),
            f"{result.seconds:.1f}",
            style=style,
        )
    console.print(table)
    killed = sum(result.killed for result in results)
    spent = median(result.seconds for result in results)
    console.print(f"{killed} of {len(results)} killed, median {spent:.1f} CPU s", highlight=False)
    return 1 if failed else 0


if __name__ == "__main__":
    main()
