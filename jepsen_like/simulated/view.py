"""What people see of simulated runs.

Owns: the tables, the bar, and the command that replays a seed. Must never do: run anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from jepsen_like.simulated.plan import Plan
from jepsen_like.simulated.seeds import SeedResult, Totals
from jepsen_like.simulated.verdict import Judged

BROKEN_SHOWN_MAX = 20


def replay_command(plan: Plan, original: Plan) -> str:
    """What to paste to see ``plan``, ``original`` made smaller, again."""
    command = f"python -m jepsen_like replay {plan.seed} --workload {plan.workload}"
    if plan.faults_until_s != original.faults_until_s:
        command += f" --until {plan.faults_until_s:g}"
    if plan.faults != original.faults:
        kept = [str(n) for n, fault in enumerate(original.faults) if fault in plan.faults]
        command += f" --faults {','.join(kept) or 'none'}"
    return command


def show_plan(console: Console, plan: Plan) -> None:
    console.print(
        f"seed {plan.seed}: workload {plan.workload}, {plan.size} members, {plan.clients} clients, "
        f"heartbeat {plan.heartbeat_ms} ms, election {plan.election_ms} ms, "
        f"pre-vote {'on' if plan.pre_vote else 'off'}, "
        f"snapshot every {plan.snapshot_count} entries, "
        f"quotas {', '.join(map(str, plan.quotas)) or 'by default'}",
        highlight=False,
    )
    table = Table("#", "begins", "lasts", "fault", "at", box=None, pad_edge=False)
    for number, fault in enumerate(plan.faults):
        target = "the leader" if fault.target < 0 else f"m{fault.target}"
        table.add_row(
            str(number),
            f"{fault.begin_s:.2f} s",
            f"{fault.lasts_s:.2f} s",
            fault.kind.value,
            target,
        )
    console.print(table)


def show_judged(console: Console, judged: Judged) -> None:
    run = judged.run
    if run.violation is not None:
        console.print(
            f"[bold red]{run.violation.name}[/] at {run.violation.at_s:.3f} s", highlight=False
        )
        console.print(f"  {run.violation.text}", highlight=False, markup=False)
    for verdict in judged.verdicts:
        console.print(str(verdict), highlight=False, markup=False)
    console.print(
        f"{run.events:,} events in {run.virtual_s:.1f} virtual seconds, "
        f"{len(run.history.operations):,} operations, trace {run.digest}",
        highlight=False,
    )


def show_totals(console: Console, totals: Totals) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = (
        ("seeds", f"{totals.seeds:,}"),
        ("broken", f"{len(totals.broken):,}"),
        ("with a check that had too little to judge", f"{totals.unknown:,}"),
        ("virtual time", f"{totals.virtual_s / 3600:.2f} hours"),
        ("events", f"{totals.events:,} ({totals.events_per_second:,.0f} a second of one core)"),
        ("operations judged", f"{totals.operations:,}"),
        ("watch events judged", f"{totals.watched:,}"),
        ("invariant checks", f"{totals.checks:,}"),
        ("faults", f"{sum(totals.faults.values()):,}"),
    )
    for name, value in rows:
        table.add_row(name, value)
    console.print(table, highlight=False)
    faults = ", ".join(f"{name} {count:,}" for name, count in totals.faults.most_common())
    console.print(f"faults by kind: {faults or 'none'}", highlight=False)


def show_broken(console: Console, broken: Sequence[SeedResult]) -> None:
    for result in broken[:BROKEN_SHOWN_MAX]:
        console.print(f"[bold red]seed {result.seed}[/], {result.broken_by}", highlight=False)
        console.print(f"  {result.reason}", highlight=False, markup=False)
        command = (
            f"python -m jepsen_like replay {result.seed} --workload {result.workload} "
            f"--until {result.faults_until_s:g} --shrink"
        )
        console.print(f"  {command}", highlight=False, soft_wrap=True)
    if len(broken) > BROKEN_SHOWN_MAX:
        console.print(f"and {len(broken) - BROKEN_SHOWN_MAX} more")


class SeedsView:
    """A bar; as a context manager."""

    def __init__(self, console: Console, seeds: int) -> None:
        self._bar = Progress(
            TextColumn("seeds"),
            BarColumn(40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )
        self._task = self._bar.add_task("seeds", total=seeds, note="")

    def __enter__(self) -> SeedsView:
        self._bar.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._bar.stop()

    def look(self, totals: Totals) -> None:
        note = f"{totals.events_per_second:,.0f} events/s"
        if totals.broken:
            note += f", {len(totals.broken)} broken"
        self._bar.update(self._task, completed=totals.seeds, note=note)
