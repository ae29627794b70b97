"""One member process of a local cluster.

Owns: its start, its end, and what it was last seen doing. Must never do: restart by itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from raftkv.cli.local_plan import Place

STOP_TIMEOUT_S = 10.0
LOG_TAIL_LINES = 3


class LocalMember:
    """``exit_status`` is None while it runs or before its first start."""

    def __init__(self, place: Place, command: Sequence[str]) -> None:
        self.place = place
        self.exit_status: int | None = None
        self._command = list(command)
        self._process: asyncio.subprocess.Process | None = None
        self.is_paused = False

    @property
    def state(self) -> str:
        """As ``ui.local_state`` has it."""
        if not self.is_running:
            return "stopped"
        return "paused" if self.is_paused else "running"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self.is_running else None

    async def start(self) -> None:
        """Start the process; its output goes to the end of its log file."""
        self.place.directory.parent.mkdir(parents=True, exist_ok=True)
        self.exit_status = None
        log = await asyncio.to_thread(self.place.log_path.open, "ab")
        with log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={k: v for k, v in os.environ.items() if not k.startswith("ETCD_")},
                start_new_session=True,  # Ctrl-C reaches us alone: we stop the members in order
            )

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        assert self._process is not None, f"{self.place.name} was never started"
        self.exit_status = await self._process.wait()
        self.is_paused = False
        return self.exit_status

    def pause(self) -> None:
        """Have it run no instruction, as a machine that hangs."""
        assert self._process is not None, f"{self.place.name} was never started"
        self._process.send_signal(signal.SIGSTOP)
        self.is_paused = True

    def resume(self) -> None:
        assert self._process is not None, f"{self.place.name} was never started"
        self._process.send_signal(signal.SIGCONT)
        self.is_paused = False

    def kill(self) -> None:
        """At once, as kill -9."""
        assert self._process is not None, f"{self.place.name} was never started"
        self._process.kill()

    async def stop(self) -> bool:
        """SIGTERM, and SIGKILL for one that does not end; False if that was needed."""
        if self._process is None or not self.is_running:
            return True
        self._process.send_signal(signal.SIGTERM)
        if self.is_paused:
            self.resume()  # or it would not hear of it
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            return False
        return True

    def log_tail(self) -> list[str]:
        """The last lines of its log."""
        return tail(self.place.log_path)


def tail(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(errors="replace") as log:
        return [line.rstrip() for line in deque(log, LOG_TAIL_LINES)]
