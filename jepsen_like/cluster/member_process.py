"""One member as an operating system process: its flags, its log file, its signals.

Owns: MemberProcess, and knowing whether an end of the process was wanted, or may come of what was
done to it. Must never do: know the other members beyond --initial-cluster. The process has a
session of its own: Ctrl-C in a terminal reaches only the run, which then heals, reads and judges
what it has.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jepsen_like.checkers.recovery import DIED, GAVE_UP, REFUSED
from jepsen_like.cluster.link_proxy import Address
from jepsen_like.cluster.program import Program
from jepsen_like.preload.shim_control import ShimControl

LOG_TAIL_LINES = 8
LOG_TAIL_BYTES = 8_000
TERM_WAIT_S = 20.0

Died = Callable[[str, str, str], None]
"""Told the name, a name of ``checkers.recovery`` and, in words, what is known of an end that nobody
asked for."""


@dataclass(frozen=True, slots=True)
class Place:
    """``advertised`` is the proxy in front of ``peer``; ``directory`` holds data and log."""

    name: str
    client: Address
    peer: Address
    advertised: Address
    directory: Path
    has_own_disk: bool = False

    @property
    def disk_dir(self) -> Path:
        return self.directory / f"{self.name}.disk"

    @property
    def data_dir(self) -> Path:
        return self.disk_dir / "data" if self.has_own_disk else self.directory / f"{self.name}.data"

    @property
    def log_path(self) -> Path:
        return self.directory / f"{self.name}.log"

    @property
    def endpoint(self) -> str:
        return f"{self.client.host}:{self.client.port}"


class MemberProcess:
    """Starts, pauses, kills and restarts one member. ``is_damaged``: its files were changed, and if
    it ends by itself it is ``is_retired``: it does not start again. ``may_give_up``: it has no disk
    space now. ``has_excuse``: one of the two was so at some time of the run."""

    def __init__(
        self,
        program: Program,
        place: Place,
        initial_cluster: str,
        died: Died,
        shim: ShimControl | None = None,
    ) -> None:
        self.place = place
        self.program = program
        self.shim = shim
        self.starts = 0
        self.is_paused = False
        self.is_damaged = False
        self.is_retired = False
        self.may_give_up = False
        self.has_excuse = False
        self.joins = False
        """Whether the cluster was there before it: a member that was added."""
        self._died = died
        self._initial_cluster = initial_cluster
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._end_is_wanted = False

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """None when it does not run."""
        return self._process.pid if self._process is not None and self.is_running else None

    async def start(self) -> None:
        """Nothing happens when it runs already, or never will again."""
        if self.is_running or self.is_retired:
            return
        self._end_is_wanted = False
        self.is_paused = False
        with self.place.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,
            )
        self.starts += 1
        self._waiting = asyncio.create_task(self._wait(self._process))

    async def kill(self) -> None:
        """kill -9: no code of the member runs any more, also if it was paused."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Ask it to end; after a while, make it."""
        self.resume()
        await self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: the kernel keeps its sockets, and it does nothing."""
        self._signal(signal.SIGSTOP)
        self.is_paused = True

    def resume(self) -> None:
        self._signal(signal.SIGCONT)
        self.is_paused = False

    def _command(self) -> list[str]:
        place = self.place
        return self.program.command_line(
            {
                "name": place.name,
                "data-dir": str(place.data_dir),
                "listen-client-urls": place.client.url,
                "advertise-client-urls": place.client.url,
                "listen-peer-urls": place.peer.url,
                "initial-advertise-peer-urls": place.advertised.url,
                "initial-cluster": self._initial_cluster,
                "initial-cluster-token": "jepsen-like",
                "initial-cluster-state": "existing" if self.joins else "new",
            }
        )

    def _environment(self) -> dict[str, str]:
        own = self.program.environment()
        return own | self.shim.environment if self.shim is not None else own

    def log_tail(self) -> str:
        if not self.place.log_path.exists():
            return ""
        text = self.place.log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])

    def log_lines_with(self, signs: Sequence[str]) -> list[str]:
        if not self.place.log_path.exists():
            return []
        with self.place.log_path.open(encoding="utf-8", errors="replace") as log:
            return [line.rstrip() for line in log if any(sign in line for sign in signs)]

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.is_running:
            self._process.send_signal(number)

    async def _end(self, number: signal.Signals) -> None:
        self._end_is_wanted = True
        self._signal(number)
        if self._waiting is None:
            return
        try:
            async with asyncio.timeout(TERM_WAIT_S):
                await asyncio.shield(self._waiting)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._waiting
        self.is_paused = False

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        if self._end_is_wanted:
            return
        self.is_retired = self.is_damaged
        kind = REFUSED if self.is_damaged else GAVE_UP if self.may_give_up else DIED
        self._died(self.name, kind, f"{self.name} ended with status {code}\n{self.log_tail()}")
