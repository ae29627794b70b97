"""What people see of a run: a bar that moves in a terminal, lines elsewhere; and its verdicts.

Owns: the wording and the looks. Must never do: judge, or count.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from jepsen_like.checkers.verdict import Validity, Verdict, overall
from jepsen_like.client.recorder import Counts
from jepsen_like.run import Settings, Sight

_STYLES = {Validity.VALID: "green", Validity.INVALID: "bold red", Validity.UNKNOWN: "yellow"}


class RunView:
    """A context manager; ``look`` takes what Run shows."""

    def __init__(self, console: Console, settings: Settings) -> None:
        self._console = console
        self._said: tuple[str, list[str]] = ("", [])
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._bar = Progress(
            TextColumn("{task.description:14}"), BarColumn(40), TextColumn("{task.fields[time]}")
        )
        self._task = self._bar.add_task("starting", total=settings.time_s, time="")
        self._began_s: float | None = None

    def __enter__(self) -> RunView:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def look(self, sight: Sight) -> None:
        if self._live is None:
            self._say_what_is_new(sight)
            return
        if sight.phase == "running" and self._began_s is None:
            self._began_s = sight.elapsed_s
        done_s = 0.0 if self._began_s is None else sight.elapsed_s - self._began_s
        self._bar.update(
            self._task,
            description=sight.phase,
            completed=done_s,
            time=f"{sight.elapsed_s:.0f} s",
        )
        fault = "; ".join(sight.under_way) or "none"
        lines = Text(f"{counts_text(sight.counts)}\nbroken now: {fault}")
        self._live.update(Group(self._bar, lines), refresh=True)

    def _say_what_is_new(self, sight: Sight) -> None:
        if self._said == (sight.phase, sight.under_way):
            return
        self._said = (sight.phase, sight.under_way)
        broken = "; ".join(sight.under_way)
        text = f"{sight.elapsed_s:6.1f} s  {sight.phase}: {counts_text(sight.counts)}"
        self._console.print(
            text + (f"; broken: {broken}" if broken else ""), highlight=False, soft_wrap=True
        )


def counts_text(counts: Counts) -> str:
    return (
        f"{counts.ok} ok, {counts.unknown} unknown, {counts.refused} refused, "
        f"{counts.events} events of {counts.watches} watches, {counts.faults} faults"
    )


def show_verdicts(console: Console, verdicts: Sequence[Verdict]) -> None:
    """One line for each, its findings below it, and the worst at the end."""
    for verdict in verdicts:
        console.print(Text(str(verdict), style=_STYLES[verdict.validity]), soft_wrap=True)
    worst = overall(verdicts)
    console.print(Text(worst.value.upper(), style=_STYLES[worst]))
