"""One part of `up` as a process: started, seen to serve, started again when it dies, stopped.

Owns: that process. Must never do: give up on it, or start it again without a pause.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp

from apiserver_shim.cli.control_plane.plan import Part
from apiserver_shim.components.process_groups import ProcessGroups, signal_group

AGAIN_S_MIN, AGAIN_S_MAX = 1.0, 30.0
STOP_S_MAX = 15.0
ASK_S_MAX = 1.0


class RunningPart:
    """``keep`` is a task of its owner's; ``state`` is for people."""

    def __init__(
        self, part: Part, log_path: Path, groups: ProcessGroups, note: Callable[[str], None]
    ) -> None:
        self.part = part
        self.state, self._has_served = "waiting", False
        self.restarts = 0
        self._log_path = log_path
        self._groups = groups
        self._note = note
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    async def keep(self) -> None:
        """Run it until ``stop``."""
        pause = AGAIN_S_MIN
        loop = asyncio.get_running_loop()
        while not self._stopping:
            begun = loop.time()
            code = await self._run()
            if self._stopping:
                return
            if loop.time() - begun > AGAIN_S_MAX:
                pause = AGAIN_S_MIN
            why = signal.Signals(-code).name if code < 0 else f"status {code}"
            self._note(
                f"{self.part.name} ended with {why}: again in {pause:g} s; log: {self._log_path}"
            )
            self.state = f"ended ({why})"
            await asyncio.sleep(pause)
            pause = min(pause * 2, AGAIN_S_MAX)
            self.restarts += 1

    async def look(self, http: aiohttp.ClientSession) -> bool:
        """Ask whether it serves, and keep the answer in ``state``. Whose certificate answers does
        not matter for that."""
        if self.pid is None:
            return False
        if not self.part.health:
            self.state = "running"
            return True
        try:
            timeout = aiohttp.ClientTimeout(total=ASK_S_MAX)
            async with http.get(self.part.health, timeout=timeout, ssl=False) as reply:
                serves = reply.status == 200
        except (aiohttp.ClientError, TimeoutError):
            serves = False
        if self.pid is not None:
            self._has_served = self._has_served or serves
            unready = "not ready" if self._has_served else "starting"
            self.state = "serving" if serves else unready
        return serves

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for what does not end."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await process.wait()
        except TimeoutError:
            self._note(f"{self.part.name} did not end in {STOP_S_MAX:g} s and was killed")
            signal_group(process.pid, signal.SIGKILL)
            await process.wait()
        self.state = "stopped"

    async def _run(self) -> int:
        await asyncio.to_thread(self._log_path.parent.mkdir, parents=True, exist_ok=True)
        log = await asyncio.to_thread(self._log_path.open, "ab")
        with log:
            process = await asyncio.create_subprocess_exec(
                *self.part.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches us alone: we stop the parts in order
            )
        self._process = process
        self.state, self._has_served = "starting", False
        await self._groups.add(process.pid)
        code = await process.wait()
        await self._groups.forget(process.pid)
        return code
