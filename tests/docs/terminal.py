"""A shell that is typed into, and what is seen in it.

Owns: one bash, its output, and waiting for what a page says is seen. Must never do: know a page.
There is no job control: Ctrl-C reaches what runs in the background (&), too.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.e2e.waiting import TimedOut, wait_until

SEEN_SECONDS = 150.0
STOP_SECONDS = 20.0
_ANY = "..."


class Terminal:
    """``run`` types a command; ``see`` waits for lines; ``end`` waits until it is over."""

    def __init__(self, name: str, directory: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self._lines: list[str] = []
        self._ended: dict[int, int] = {}
        self._count = 0
        self._seen = 0
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._mark = f"__ended_{self._shell.pid}"
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._type("trap : INT; shopt -s expand_aliases; set -o pipefail")

    def run(self, command: str) -> None:
        """Once the command before is over."""
        self.end()
        self._count += 1
        self._seen = len(self._lines)
        # Commands read no stdin, which is the shell's: the next line typed would be theirs.
        self._type(f"{{ {command}\n}} </dev/null; s=$?; echo; echo {self._mark} {self._count} $s")

    def see(self, expected: Sequence[str]) -> None:
        """Until the lines came, in this order, after what was seen before. `...` alone stands for
        any lines, inside a line for any text. A command that is over shows nothing more."""

        def outcome() -> str:
            # Output is read in order: once the end is, all of it is.
            is_over = self._count in self._ended
            return "seen" if self._matches(expected) else "over" if is_over else ""

        what = "\n".join(expected)
        try:
            found = wait_until(outcome, what, seconds=SEEN_SECONDS)
            if found == "over":
                raise TimedOut(f"it is over without: {what}")
        except TimedOut as e:
            raise TimedOut(f"{self.name}: {e}\n--- it shows:\n{self.text()}") from None

    def end(self) -> int:
        """Until the last command is over; its exit status."""
        if not self._count:
            return 0
        try:
            wait_until(lambda: self._count in self._ended, "its end", seconds=SEEN_SECONDS)
        except TimedOut as e:
            raise TimedOut(f"{self.name}: {e}\n--- it shows:\n{self.text()}") from None
        return self._ended[self._count]

    def interrupt(self) -> None:
        os.killpg(self._shell.pid, signal.SIGINT)

    def close(self) -> None:
        """Nothing that was started here stays: what runs is asked to end what it has started, in
        sessions of their own."""
        self.interrupt()
        with suppress(TimedOut):
            wait_until(
                lambda: self._count in self._ended or not self._count,
                "the end",
                seconds=STOP_SECONDS,
            )
        os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
        self._reader.join()

    def text(self) -> str:
        return "\n".join(self._lines[-60:])

    def _matches(self, expected: Sequence[str]) -> bool:
        at = _match(self._lines, self._seen, expected)
        if at is None:
            return False
        self._seen = at
        return True

    def _type(self, text: str) -> None:
        assert self._shell.stdin is not None, "the shell has a stdin"
        self._shell.stdin.write(text.encode() + b"\n")
        self._shell.stdin.flush()

    def _read(self) -> None:
        assert self._shell.stdout is not None, "the shell has a stdout"
        for raw in self._shell.stdout:
            line = raw.decode(errors="replace").rstrip("\r\n")
            if line.startswith(self._mark):
                _, number, status = line.split()
                self._ended[int(number)] = int(status)
            else:
                self._lines.append(line)


def _match(lines: Sequence[str], start: int, expected: Sequence[str]) -> int | None:
    """Where what was expected ends among ``lines``; None if it is not all there. Empty lines do
    not count."""
    at, skips = start, False
    for pattern in expected:
        if pattern == _ANY:
            skips = True
            continue
        if not pattern.strip():
            continue
        while at < len(lines) and not _is(lines[at], pattern) and (skips or not lines[at].strip()):
            at += 1
        if at == len(lines) or not _is(lines[at], pattern):
            return None
        at, skips = at + 1, False
    return at


def _is(line: str, pattern: str) -> bool:
    wanted = ".*".join(re.escape(part) for part in pattern.rstrip().split(_ANY))
    return re.fullmatch(wanted, line.rstrip()) is not None
