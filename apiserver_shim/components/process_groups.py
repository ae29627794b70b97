"""Process groups that end with the process that started them, whatever ends it.

Owns: the reaper, a small process that holds the other end of a pipe: when we are gone, by kill -9
too, the pipe is closed and the reaper kills every group that it was told of. Must never do: kill a
group that it was told to forget.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys

log = logging.getLogger("apiserver_shim.process_groups")

REAPER_STOP_S_MAX = 5.0

# Runs with nothing but the interpreter. A session of its own: Ctrl-C is not for it.
REAPER = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    what, number = line[0], int(line[1:])
    (groups.add if what == "+" else groups.discard)(number)
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


class ProcessGroups:
    """Use it as an async context manager; leaving it kills what is still there."""

    def __init__(self) -> None:
        self._reaper: asyncio.subprocess.Process | None = None
        self._groups: set[int] = set()

    async def __aenter__(self) -> ProcessGroups:
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        reaper = self._reaper
        if reaper is None or reaper.stdin is None:
            return
        reaper.stdin.close()
        try:
            async with asyncio.timeout(REAPER_STOP_S_MAX):
                await reaper.wait()
        except TimeoutError:
            reaper.kill()
            await reaper.wait()

    async def add(self, group: int) -> None:
        """``group``: the pid of a process that leads its session."""
        self._groups.add(group)
        await self._tell(f"+{group}\n")

    async def forget(self, group: int) -> None:
        """Its last process has ended."""
        self._groups.discard(group)
        await self._tell(f"-{group}\n")

    async def _start(self) -> None:
        self._reaper = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", REAPER),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def _tell(self, line: str) -> None:
        reaper = self._reaper
        assert reaper is not None, "used outside its context"
        assert reaper.stdin is not None
        try:
            if reaper.returncode is not None:
                raise BrokenPipeError
            reaper.stdin.write(line.encode())
            await reaper.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            log.warning("the reaper has ended: another is started")
            await self._start()
            assert self._reaper is not None
            assert self._reaper.stdin is not None
            self._reaper.stdin.write("".join(f"+{each}\n" for each in self._groups).encode())
            await self._reaper.stdin.drain()


def signal_group(group: int, number: signal.Signals) -> None:
    """To every process of the group; nothing when there is none left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
