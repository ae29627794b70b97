"""Time and blocking work, as everything above the core sees them.

Owns: the protocols Scheduler and Worker. Must never do: read a real clock or start a thread; the
asyncio implementations are in ``raftkv.server.asyncio_runtime``, a virtual one drives simulations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    def cancel(self) -> None: ...


class Scheduler(Protocol):
    """One thread's queue of callbacks. ``now`` is monotonic and in seconds."""

    def now(self) -> float: ...

    def call_soon(self, callback: Callable[[], None], /) -> None: ...

    def call_later(self, delay_s: float, callback: Callable[[], None], /) -> Timer: ...


class Worker(Protocol):
    """Where blocking calls go: one job at a time, in the order given, off the loop's thread.

    ``done`` runs on the loop's thread with None, or with what the job raised.
    """

    def run(
        self, job: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None: ...

    def run_brief(
        self, job: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        """As ``run``, for what is mostly done sooner than it is handed over: a worker that has
        seen it be quick may do it at once, and call ``done`` before this returns."""
