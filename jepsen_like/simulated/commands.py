"""``replay`` and ``simulate``: one seed, and many.

Owns: the two commands' options and exit codes: 0 good, 1 broken. Must never do: draw a plan that
``replay`` with the printed options would not draw again.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from jepsen_like.history.journal import save
from jepsen_like.simulated.plan import Bias, Plan, draw
from jepsen_like.simulated.seeds import campaign, plans
from jepsen_like.simulated.shrink import Shrinker
from jepsen_like.simulated.verdict import Judged, judge_seed
from jepsen_like.simulated.view import (
    SeedsView,
    replay_command,
    show_broken,
    show_judged,
    show_plan,
    show_totals,
)

WORKLOADS = (
    "mix",
    "watch",
    "kubernetes",
    "register",
    "append",
    "txn",
    "set",
    "lease",
    "lock",
    "election",
)
HISTORY = "history.jsonl"
LOG_LEVELS = ("debug", "info", "warning", "error")


@click.command()
@click.argument("seed", type=click.IntRange(0))
@click.option("--workload", default="mix", show_default=True, type=click.Choice(WORKLOADS))
@click.option("--until", "until_s", type=click.FloatRange(0.1), help="When faults and clients end.")
@click.option("--faults", help="Only these of the plan's faults, by number, or none.")
@click.option("--shrink", is_flag=True, help="Find a smaller plan that breaks the same thing.")
@click.option(
    "--log",
    "log_level",
    type=click.Choice(LOG_LEVELS, case_sensitive=False),
    help="Show what the members log.",
)
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False))
def replay(
    seed: int,
    workload: str,
    until_s: float | None,
    faults: str | None,
    shrink: bool,
    log_level: str | None,
    directory: Path | None,
) -> None:
    """Run one simulated seed again, and judge it. --dir keeps its history for report."""
    console = Console()
    if log_level is None:
        logging.disable(logging.CRITICAL)
    else:
        logging.basicConfig(level=log_level.upper(), format="%(message)s")
    original = draw(seed, workload)
    plan = _chosen(original, until_s, faults)
    show_plan(console, plan)
    judged = judge_seed(plan)
    show_judged(console, judged)
    if shrink and judged.broken_by:
        plan, judged = _shrunk(console, plan, judged.broken_by)
        console.print(replay_command(plan, original), highlight=False, soft_wrap=True)
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        save(judged.run.history, directory / HISTORY)
        console.print(f"history in {directory / HISTORY}", highlight=False, soft_wrap=True)
    sys.exit(1 if judged.broken_by else 0)


def _chosen(plan: Plan, until_s: float | None, faults: str | None) -> Plan:
    if faults is not None:
        try:
            numbers = set() if faults == "none" else {int(n) for n in faults.split(",")}
            if min(numbers, default=0) < 0:
                raise IndexError(faults)
            kept = tuple(plan.faults[n] for n in sorted(numbers))
        except (ValueError, IndexError):
            text = f"{faults!r}: the plan has faults 0 to {len(plan.faults) - 1}"
            raise click.BadParameter(text, param_hint="--faults") from None
        plan = replace(plan, faults=kept)
    if until_s is not None:
        begun = tuple(fault for fault in plan.faults if fault.begin_s < until_s)
        plan = replace(plan, faults_until_s=until_s, faults=begun)
    return plan


def _shrunk(console: Console, plan: Plan, broken_by: str) -> tuple[Plan, Judged]:
    def tell(smaller: Plan, tried: int) -> None:
        text = f"run {tried}: {len(smaller.faults)} faults in {smaller.faults_until_s:g} s"
        console.print(text, highlight=False)

    small = Shrinker(judge_seed, tell).shrink(plan, broken_by)
    show_plan(console, small)
    judged = judge_seed(small)
    show_judged(console, judged)
    return small, judged


@click.command()
@click.option("--seeds", default=2000, show_default=True, type=click.IntRange(1))
@click.option("--first", default=0, show_default=True, type=click.IntRange(0))
@click.option("--workload", type=click.Choice(WORKLOADS), help="By default all in turn.")
@click.option("--until", "until_s", default=20.0, show_default=True, type=click.FloatRange(0.1))
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, type=click.IntRange(1))
def simulate(seeds: int, first: int, workload: str | None, until_s: float, jobs: int) -> None:
    """Run many simulated seeds, on all cores; print how to replay those that break."""
    console = Console()
    workloads = (workload,) if workload else WORKLOADS
    every = plans(range(first, first + seeds), workloads, Bias(faults_until_s=until_s))
    with SeedsView(console, seeds) as view:
        totals = campaign(every, jobs=jobs, look=view.look)
    show_totals(console, totals)
    show_broken(console, totals.broken)
    sys.exit(1 if totals.broken else 0)
