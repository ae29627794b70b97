"""The tutorial, and the pages that promise to work as they stand: typed as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.page import INTERRUPT, Step, steps_of
from tests.docs.terminal import Terminal
from tests.e2e.member_process import reserve_ports
from tests.e2e.program import ROOT
from tests.shim.up_process import POD_RANGE, SERVICE_RANGE

pytestmark = pytest.mark.slow

PAGES = ("docs/tutorial.md", "docs/raft-library.md")
_API = 6443
_STORE = {2379: 0, 22379: 10, 32379: 20}
"""Where members are by default, and how far apart they are at other ports."""


class Reader:
    """A folder that has what a clone has, terminals, and ports that nobody else uses: the pages'
    are replaced in what is typed and in what is to be seen."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self._terminals: dict[str, Terminal] = {}
        for each in ROOT.iterdir():
            if each.name not in ("data", "raftkv-data", "build", "dist"):
                (directory / each.name).symlink_to(each)
        self._base = reserve_ports(30)[0]
        api = reserve_ports(40)[0]
        self._api = api
        self._options = {
            "make run": f"--base-port {self._base}",
            "make control-plane": f"--port {api} --store-port {api + 10} --kubelet-port {api + 1} "
            f"--dns-port {api + 3} --pod-range {POD_RANGE}.0.0/16 "
            f"--service-cluster-ip-range {SERVICE_RANGE}.0.0/16",
        }

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def follow(self, step: Step) -> None:
        terminal = self._terminal(step.terminal)
        if step.command == INTERRUPT:
            terminal.interrupt()
        elif step.command:
            options = self._options.get(step.command)
            command = f'{step.command} ARGS="{options}"' if options else step.command
            terminal.run(self._with_ports(command))
        terminal.see([self._with_ports(line) for line in step.seen])
        if step.command == INTERRUPT:
            terminal.end()

    def end(self) -> None:
        """Every terminal's last command is over; none is left running."""
        for terminal in self._terminals.values():
            terminal.end()

    def _terminal(self, name: str) -> Terminal:
        if name not in self._terminals:
            found = Terminal(name, self._directory, _environment())
            self._stack.callback(found.close)
            self._terminals[name] = found
        return self._terminals[name]

    def _with_ports(self, text: str) -> str:
        def moved(match: re.Match[str]) -> str:
            port = int(match[0])
            if port == _API:
                return str(self._api)
            return str(self._base + _STORE[port]) if port in _STORE else match[0]

        return re.sub(r"(?<=:)\d{4,5}\b", moved, text)


def _environment() -> dict[str, str]:
    """A reader's: without what other tests, or this one's caller, have set."""
    kept = ("HOME", "LANG", "TERM", "USER")
    found = {name: value for name, value in os.environ.items() if name in kept}
    system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return found | {
        "PATH": f"{ROOT / '.venv' / 'bin'}:{system}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """The pages begin with `make`, which must have nothing to install: not from a folder that is
    gone after the test."""
    done = subprocess.run(["make", "--question", ".venv/.installed"], cwd=ROOT, check=False)
    assert done.returncode == 0, "requirements.lock is newer than .venv: run `make lint` first"
    with Reader(tmp_path) as reader:
        yield reader


@pytest.mark.timeout(500)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_works_as_it_stands(page: str, reader: Reader) -> None:
    """Every command in order, in the terminals that the page names; what it says is seen, is."""
    steps = steps_of(ROOT / page)
    assert steps, f"{page} has no commands"
    for step in steps:
        try:
            reader.follow(step)
        except BaseException as e:
            e.add_note(f"{page}:{step.line}: {step.command}")
            raise
    reader.end()
