"""A container as an operating system process: a process group of its own.

Owns: start, signals, the end. Must never do: leave a process of the group behind: with the first
process the others end, as in a container.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from apiserver_shim.components.kubelet.container_log import ContainerLog
from apiserver_shim.components.process_groups import ProcessGroups, signal_group

DRAIN_S_MAX = 2.0
"""How long an ended container's last output is waited for."""


class ContainerProcess:
    """``wait`` gives 128 + n where signal n ended it."""

    def __init__(
        self, process: asyncio.subprocess.Process, log: ContainerLog, groups: ProcessGroups
    ) -> None:
        self._process = process
        self._log = log
        self._groups = groups
        assert process.stdout is not None
        assert process.stderr is not None
        self._copying = asyncio.gather(
            log.copy(process.stdout, "stdout"), log.copy(process.stderr, "stderr")
        )
        self._ended = asyncio.create_task(self._end())

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        log: ContainerLog,
        groups: ProcessGroups,
    ) -> ContainerProcess:
        """Raises OSError when there is no such program."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,
        )
        await groups.add(process.pid)
        return cls(process, log, groups)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    async def stop(self, grace_s: float) -> int:
        """SIGTERM, and SIGKILL for what is there after ``grace_s``; its exit code."""
        if not self._ended.done():
            signal_group(self.pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(grace_s):
                    return await self.wait()
            except TimeoutError:
                self.kill()
        return await self.wait()

    def kill(self) -> None:
        if not self._ended.done():
            signal_group(self.pid, signal.SIGKILL)

    async def _end(self) -> int:
        status = await self._process.wait()
        signal_group(self.pid, signal.SIGKILL)
        await self._groups.forget(self.pid)
        try:
            async with asyncio.timeout(DRAIN_S_MAX):
                await self._copying
        except TimeoutError:
            self._copying.cancel()  # somebody outside the group holds the other end
        await self._log.close()
        return 128 - status if status < 0 else status
