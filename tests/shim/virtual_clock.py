"""A clock that a test moves.

Owns: its time. Must never do: pass by itself.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from apiserver_shim.components.clocks import Clock


class VirtualClock:
    """``clock`` is what components are given."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._begin = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
        self._pauses: list[tuple[float, asyncio.Future[None]]] = []
        self.clock = Clock(
            now=lambda: self._begin + timedelta(seconds=self.seconds),
            monotonic=lambda: self.seconds,
            pause=self._pause,
        )

    @property
    def paused(self) -> int:
        """How many wait for the clock."""
        return sum(not future.done() for _, future in self._pauses)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        for ends, future in self._pauses:
            if ends <= self.seconds and not future.done():
                future.set_result(None)
        self._pauses = [each for each in self._pauses if not each[1].done()]

    async def _pause(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pauses.append((self.seconds + seconds, future))
        await future
