"""The real etcdctl as a subprocess, pointed at chosen members.

Owns: Etcdctl (one-shot commands) and EtcdctlWatch (one that keeps printing). Must never do: know
the program behind the endpoints.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Any

COMMAND_SECONDS = 30


@dataclass(frozen=True)
class Outcome:
    """What a command printed and how it ended."""

    status: int
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


class Etcdctl:
    """Runs etcdctl with ``--endpoints``; arguments are its own. ``user`` is "name:password"."""

    def __init__(self, *endpoints: str, user: str = "") -> None:
        self.endpoints = endpoints
        self._login = [f"--user={user}"] if user else []

    def logged_in(self, user: str) -> Etcdctl:
        """The same endpoints, as a user."""
        return Etcdctl(*self.endpoints, user=user)

    def command(self, *arguments: str) -> list[str]:
        return ["etcdctl", f"--endpoints={','.join(self.endpoints)}", *self._login, *arguments]

    def run(self, *arguments: str, stdin: str = "") -> Outcome:
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            env=_environment(),
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, stdin: str = "") -> list[str]:
        """The lines that a successful command printed."""
        outcome = self.run(*arguments, stdin=stdin)
        assert outcome.status == 0, f"etcdctl {arguments}: {outcome}"
        return outcome.lines

    def fails(self, *arguments: str, stdin: str = "") -> str:
        """The error of a command that must fail: its last line."""
        outcome = self.run(*arguments, stdin=stdin)
        assert outcome.status != 0, f"etcdctl {arguments} should have failed: {outcome}"
        return outcome.errors.strip().splitlines()[-1]

    def json(self, *arguments: str) -> Any:
        return json.loads("\n".join(self.ok(*arguments, "--write-out=json")))

    def put(self, key: str, value: str) -> int:
        """The revision that the put made."""
        return int(self.json("put", key, value)["header"]["revision"])

    def keys(self, *arguments: str) -> list[str]:
        """The keys that ``get`` lists, in its order."""
        return [decoded(row["key"]) for row in self.json("get", *arguments).get("kvs", [])]

    def watch(self, *arguments: str) -> EtcdctlWatch:
        return EtcdctlWatch(self.command("watch", *arguments))


class EtcdctlWatch:
    """A running ``etcdctl watch``: its lines as they come, and its standard input."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_environment(),
        )
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._pump, daemon=True).start()

    def __enter__(self) -> EtcdctlWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def type(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def lines(self, count: int, *, seconds: float = 20.0) -> list[str]:
        """The next ``count`` lines."""
        got: list[str] = []
        deadline = time.monotonic() + seconds
        while len(got) < count:
            try:
                got.append(self._lines.get(timeout=max(deadline - time.monotonic(), 0.001)))
            except Empty:
                raise AssertionError(f"wanted {count} lines of watch, got {got}") from None
        return got

    def ended(self, *, seconds: float = 20.0) -> int:
        return self._process.wait(timeout=seconds)

    def _pump(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))


def decoded(text: str) -> str:
    """Keys and values in etcdctl's JSON are base64."""
    return base64.b64decode(text).decode()


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ETCDCTL_")}
    return kept | {"ETCDCTL_API": "3"}
