"""What `raftkv local` shows: a table that is redrawn in a terminal, and lines elsewhere.

Owns: the wording and the looks. Must never do: ask members for anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from raftkv.cli.local_plan import Place

NOTES_SHOWN = 7


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one member now. Numbers are None while it does not answer."""

    place: Place
    state: str  # leader, follower, no leader, starting, stopped (status 1)
    pid: int | None = None
    term: int | None = None
    revision: int | None = None
    applied: int | None = None
    db_bytes: int | None = None


class LocalView:
    """``note`` for what happened, ``show`` for how things stand."""

    def __init__(self, console: Console, places: Sequence[Place]) -> None:
        self._console = console
        self._places = places
        self._notes: list[str] = []
        self._states: dict[str, str] = {}
        self._live: Live | None = None

    @property
    def is_terminal(self) -> bool:
        return self._console.is_terminal

    def greet(self, data_dir: str) -> None:
        endpoints = ",".join(place.endpoint for place in self._places)
        say = self._console.print
        members = f"{len(self._places)} members"
        say(f"raftkv: {members}, data in {data_dir}", highlight=False, soft_wrap=True)
        say("try:", highlight=False)
        say(f"  export ETCDCTL_API=3 EP={endpoints}", highlight=False, soft_wrap=True)
        say("  etcdctl --endpoints $EP put hello world", highlight=False)
        say("  etcdctl --endpoints $EP get hello", highlight=False)
        say("all in one line:", highlight=False)
        say(f"  etcdctl --endpoints={endpoints} endpoint status", highlight=False, soft_wrap=True)
        if self._places[0].ui_url:
            say(f"see it, and stop, pause or cut it: {self._places[0].ui_url}/", highlight=False)
        self._console.file.flush()

    def start(self) -> None:
        if self.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=False)
            self._live.start()

    def stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def note(self, text: str) -> None:
        """Something happened that stays worth reading."""
        if self._live is None:
            self._console.print(text, highlight=False, soft_wrap=True)
            self._console.file.flush()
        else:
            self._notes = [*self._notes, text][-NOTES_SHOWN:]

    def show(self, rows: Sequence[Row]) -> None:
        """How things stand: the table, or a line for each member whose state is new."""
        if self._live is not None:
            self._live.update(self._screen(rows), refresh=True)
            return
        for row in rows:
            if self._states.get(row.place.name) != row.state:
                self._states[row.place.name] = row.state
                at = f" at term {row.term}" if row.term else ""
                self.note(f"{row.place.name} {row.place.endpoint}: {row.state}{at}")

    def _screen(self, rows: Sequence[Row]) -> RenderableType:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("member", "endpoint", "state"):
            table.add_column(name, no_wrap=True)
        for name in ("term", "revision", "applied", "db", "pid"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(
                row.place.name,
                row.place.endpoint,
                Text(row.state, style=_style(row.state)),
                *(_number(n) for n in (row.term, row.revision, row.applied)),
                _size(row.db_bytes),
                _number(row.pid),
            )
        keys = Text("Ctrl-C stops all; a member's number restarts it if it is down", style="dim")
        return Group("", table, "", *self._notes, keys)


def _style(state: str) -> str:
    if state == "leader":
        return "green"
    return "" if state == "follower" else "red"


def _number(number: int | None) -> str:
    return "-" if number is None else str(number)


def _size(size: int | None) -> str:
    if size is None:
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size //= 1024
    return f"{size} GiB"
