"""``python -m benchmarks``: raftkv and etcd on the same work, in turn, on this machine.

Owns: the command line and the progress display. Must never do: measure.
"""

from __future__ import annotations

import shlex
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from benchmarks import chart, report, result
from benchmarks.ceiling import check_generators
from benchmarks.contest import Contest, Contestant, Guest
from benchmarks.no_sync_guest import NoSyncGuest
from benchmarks.plan import KEYS, SECONDS, further_rounds, whole_plan
from benchmarks.pysyncobj_guest import PySyncObjGuest
from tests.e2e.program import ETCD, RAFTKV, ROOT, Program

# Of a file or a pipe, which has no width of its own.
OUTPUT_COLUMNS = 150
CHECK_LOAD_SECONDS = 0.5
CHECK_SECONDS = 15.0
"""Of the check of all generators, about, their responders' starts included."""
CHART, PAGE = ROOT / "docs" / "benchmarks.svg", ROOT / "docs" / "benchmarks.md"
GROUPS = sorted(whole_plan().groups)
EXISTING = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--work", "groups", multiple=True, type=click.Choice(GROUPS), help="Only this group.")
@click.option(
    "--rounds",
    default=5,
    show_default=True,
    type=click.IntRange(1),
    help="Of the works with a target; of the others fewer.",
)
@click.option("--seconds", default=SECONDS, show_default=True, help="Of each load, about.")
@click.option("--keys", default=KEYS, show_default=True, help="Of the group recovery.")
@click.option(
    "--data-dir",
    default=ROOT / "data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where clusters keep their data: on the disk that is to be measured.",
)
@click.option("--raftkv", "raftkv_command", default="", help="Another command for raftkv's side.")
@click.option("--etcd", "etcd_command", default="", help="Another command for etcd's side.")
@click.option("--save/--no-save", default=True, help="Write benchmarks/results/DATE.json.")
@click.option("--check-generator", is_flag=True, help="How much load there could be, and no more.")
@click.option(
    "--chart",
    "charted",
    multiple=True,
    type=EXISTING,
    help="Write results into docs/benchmarks.md; no run.",
)
def main(
    groups: tuple[str, ...],
    rounds: int,
    seconds: float,
    keys: int,
    data_dir: Path,
    raftkv_command: str,
    etcd_command: str,
    save: bool,
    check_generator: bool,
    charted: tuple[Path, ...],
) -> None:
    """Run raftkv and etcd in turn on the same work and print their figures and ratios.

    Both get three members on loopback, a fresh data directory in every round, and their default
    settings. The ratio is above 1 where raftkv is ahead. A run of all groups begins with a check
    of the load generators and ends in docs/benchmarks.md and its chart.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=OUTPUT_COLUMNS)
    if check_generator:
        console.print(report.generators_table(check_generators(seconds)))
        return
    if charted:
        _publish(result.read(charted), console)
        return
    plan = whole_plan(rounds=rounds, seconds=seconds, keys=keys)
    mine = Program(tuple(shlex.split(raftkv_command))) if raftkv_command else RAFTKV
    theirs = Program(tuple(shlex.split(etcd_command))) if etcd_command else ETCD
    title = "raftkv" if not raftkv_command else Path(mine.command[0]).name + " (left)"
    data_dir.mkdir(parents=True, exist_ok=True)
    contest = Contest(
        Contestant(title, mine),
        Contestant("etcd", theirs),
        plan.only(groups) if groups else plan,
        data_dir,
        _guests(groups, mine, rounds, seconds),
    )
    sys.exit(_Run(contest, console, seconds, save=save, whole=not groups).go())


def _guests(groups: tuple[str, ...], mine: Program, rounds: int, seconds: float) -> list[Guest]:
    """Those with figures of the chosen groups."""
    chosen = set(groups or GROUPS)
    rounds = further_rounds(rounds)
    guests: list[Guest] = []
    if chosen & {"put", "get"}:
        guests.append(PySyncObjGuest(seconds, rounds))
    if "put" in chosen:
        guests.append(NoSyncGuest(mine, seconds, rounds))
    return guests


class _Run:
    """One contest, shown while it goes on, and saved after each round and at the end."""

    def __init__(
        self, contest: Contest, console: Console, seconds: float, *, save: bool, whole: bool
    ) -> None:
        now = datetime.now().astimezone()
        self._contest = contest
        self._console = console
        self._document = result.begin(contest, now, seconds=seconds)
        self._path = result.path_of(now) if save else None
        self._whole = whole
        self._began = time.monotonic()

    def go(self) -> int:
        """The exit status: 0 when every work of every round has its figures."""
        console, contest = self._console, self._contest
        console.print(report.plan_table(contest.plan))
        check = CHECK_SECONDS if self._whole else 0.0
        console.print(f"about {(contest.seconds + check) / 60:.1f} minutes on an idle machine")
        interrupted = True
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            if self._whole:
                self._check_generators()
            self._with_progress()
            interrupted = False
        except KeyboardInterrupt:
            console.print("[red]interrupted[/]")
        finally:
            self._finish(interrupted=interrupted)
        return 1 if interrupted or contest.failures else 0

    def _check_generators(self) -> None:
        """How much load there could be, before there is any: part of a whole run's result."""
        with self._console.status("generators against a server that answers ready bytes"):
            found = check_generators(CHECK_LOAD_SECONDS)
        self._document["generators"] = found
        self._console.print(report.generators_table(found))

    def _with_progress(self) -> None:
        columns = (
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(
            *columns, console=self._console, transient=True, speed_estimate_period=300
        ) as progress:
            task = progress.add_task("starting", total=self._contest.seconds)
            begun = 0.0

            def on_step(what: str, seconds: float) -> None:
                nonlocal begun
                progress.update(task, completed=begun, description=what)
                begun += seconds

            self._contest.run(on_step, self._save_so_far)

    def _save_so_far(self) -> None:
        self._save(partial=True)

    def _save(self, *, partial: bool) -> result.Document:
        document = result.complete(
            self._document, self._contest, partial=partial, took=time.monotonic() - self._began
        )
        if self._path is not None:
            result.save(document, self._path)
        return document

    def _finish(self, *, interrupted: bool) -> None:
        document = self._save(partial=interrupted or bool(self._contest.failures))
        self._console.print(report.table(document))
        self._console.print(report.busiest(document))
        for failure in self._contest.failures:
            self._console.print(
                f"[red]failed:[/] {failure.program}, round {failure.round}, {failure.work}: ",
                end="",
            )
            self._console.print(failure.error, markup=False)
        if self._path is None:
            return
        self._console.print(f"written to {self._path.relative_to(ROOT)}")
        if self._whole and not document["partial"]:
            _publish(document, self._console)


def _publish(document: result.Document, console: Console) -> None:
    """The chart, and the figures in the page beside it."""
    CHART.write_text(chart.svg(document))
    PAGE.write_text(report.with_section(PAGE.read_text(), document))
    console.print(f"drawn in {CHART.relative_to(ROOT)}, told in {PAGE.relative_to(ROOT)}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does: members are killed, and what there is gets written."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
