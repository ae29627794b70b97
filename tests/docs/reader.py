"""A person who follows a page in a folder that has what a clone has.

Owns: the folder, the terminals, which of them a command is typed in, what must be seen, and that
nothing fails that the page does not say would. Must never do: change a command, which is for
``changes``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.docs.changes import FOLDERS, MAY_PROVE_NOTHING, NOT_RUN, STAYS, Places, beginning, typed
from tests.docs.page import INTERRUPT, Step
from tests.docs.terminal import Terminal
from tests.e2e.program import ROOT

_OWN = ("data", "raftkv-data", "build", "dist", "jepsen-runs", ".pytest_cache")
_BROKEN = "Traceback (most recent call last)"
_INTERRUPTED = (0, 2, 130)
"""Statuses after Ctrl-C: a program's that ended in order, make's, and that of a signal."""


class Reader:
    """``follow`` one section after the other; a context manager that leaves nothing running."""

    def __init__(self, folder: Path, page: str, *, says_endpoints: bool = False) -> None:
        """``says_endpoints``: the page itself says where members are; else clients look for one at
        their default, which is moved."""
        self.folder = folder
        self.page = page
        self._says_endpoints = says_endpoints
        self._stack = ExitStack()
        self._terminals: dict[str, Terminal] = {}
        self._steps: dict[str, Step] = {}
        self._interrupted: set[str] = set()
        self._untitled: set[str] = set()
        self._opened = 1
        for name in FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        for each in ROOT.iterdir():
            if each.name not in _OWN and not (folder / each.name).is_symlink():
                (folder / each.name).symlink_to(each)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def follow(self, steps: Sequence[Step], places: Places) -> None:
        """A section. What stays in terminals without a title ends with it."""
        self.begin(steps, places)
        self._end([name for name in self._steps if name in self._untitled])
        self._opened = 1

    def begin(self, steps: Sequence[Step], places: Places) -> None:
        """The same, and what stays goes on."""
        for step in steps:
            if beginning(NOT_RUN, step.command) is None:
                try:
                    self._follow(step, places)
                except BaseException as e:
                    e.add_note(f"{self.page}:{step.line}: {step.command}")
                    for name, terminal in self._terminals.items():
                        e.add_note(f"--- {name}\n{terminal.text()}")
                    raise

    def end(self) -> None:
        """Nothing is left running, and nothing failed."""
        self._end([*self._steps])

    def _end(self, names: Sequence[str]) -> None:
        """What stays may be what others ask: it ends last."""
        staying = [name for name in names if beginning(STAYS, self._steps[name].command)]
        for name in names:
            if name not in staying:
                self._finish(name)
        for name in staying:
            self._interrupt(name)

    def _follow(self, step: Step, places: Places) -> None:
        name = step.terminal or self._untitled_terminal(places)
        terminal = self._terminal(name, places)
        seen = [places.moved(line, self.folder) for line in step.seen]
        if step.command == INTERRUPT:
            self._interrupt(name, seen)
            return
        if step.command:
            self._finish(name)
        for other in others_of(step):
            self._untitled.add(other.terminal)
            self._terminal(other.terminal, places)
            self._type(other, other.terminal, places)
        stays = beginning(STAYS, step.command)
        if step.command:
            self._type(step, name, places)
        if stays is not None and not step.terminal:
            self._opened += 1
        if stays is not None and STAYS[stays] and not seen:
            seen = ["...", STAYS[stays]]
        terminal.see(seen)

    def _untitled_terminal(self, places: Places) -> str:
        name = f"{self.page}, terminal {self._opened} at {places.base}"
        self._untitled.add(name)
        return name

    def _type(self, step: Step, name: str, places: Places) -> None:
        self._steps[name] = step
        self._terminals[name].run(typed(step.command, places, self.folder))

    def _interrupt(self, name: str, seen: Sequence[str] = ()) -> None:
        """Ctrl-C, and the end of what ran."""
        self._terminals[name].interrupt()
        self._interrupted.add(name)
        self._terminals[name].see(seen)
        self._finish(name)

    def _finish(self, name: str) -> None:
        """What was typed last is over, and did not fail."""
        step = self._steps.pop(name, None)
        if step is None:
            return
        status = self._terminals[name].end()
        shown = self._terminals[name].text()
        assert _BROKEN not in shown, f"{self.page}:{step.line}: {step.command}\n{shown}"
        wanted = _INTERRUPTED if name in self._interrupted else (0,)
        self._interrupted.discard(name)
        unsure = MAY_PROVE_NOTHING.get(beginning(MAY_PROVE_NOTHING, step.command) or "")
        if unsure is not None and shown.rstrip().endswith(unsure[1]):
            wanted = (unsure[0],)
        assert status in wanted, (
            f"{self.page}:{step.line}: {step.command}\nended with status {status}, and showed\n"
            f"{shown}"
        )

    def _terminal(self, name: str, places: Places) -> Terminal:
        if name not in self._terminals:
            found = Terminal(name, self.folder, self._environment(places))
            self._stack.callback(found.close)
            self._terminals[name] = found
        return self._terminals[name]

    def _environment(self, places: Places) -> dict[str, str]:
        """A reader's: without what other tests, or this one's caller, have set."""
        kept = {name: os.environ[name] for name in ("LANG", "TERM", "USER") if name in os.environ}
        system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        own = f"{self.folder}/usr/local/bin:{ROOT}/.venv/bin"
        found = kept | {
            "HOME": str(self.folder / "home"),
            "PATH": f"{own}:{system}",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(ROOT),
            "ETCDCTL_API": "3",
        }
        if not self._says_endpoints:
            found["RAFTKV_ENDPOINTS"] = places.moved("127.0.0.1:2379", self.folder)
        return found | places.variables


def others_of(step: Step) -> list[Step]:
    """A `raftkv serve` line of a cluster of several is typed on each host, with its own name and
    addresses: the lines of the other hosts."""
    found = re.search(r"--initial-cluster[ =](\S+)", step.command)
    if not step.command.startswith("raftkv serve") or found is None:
        return []
    members = dict(each.split("=", 1) for each in found[1].split(","))
    own = re.search(r"--name[ =](\S+)", step.command)
    assert own is not None, step.command
    before, after = step.command[: found.start(1)], step.command[found.end(1) :]
    return [
        replace(
            step,
            command=_as(before, own[1], name, members)
            + found[1]
            + _as(after, own[1], name, members),
            terminal=f"{name}'s host",
        )
        for name in members
        if name != own[1]
    ]


def _as(text: str, own: str, name: str, members: dict[str, str]) -> str:
    """Client ports are one below the peers'."""
    mine, other = (members[each].split("//")[1] for each in (own, name))
    for less in (0, 1):
        (host, port), (there, its) = mine.split(":"), other.split(":")
        text = text.replace(f"{host}:{int(port) - less}", f"{there}:{int(its) - less}")
    return re.sub(rf"\b{own}\b", name, text)
