"""The real clock and the real threads behind ``raftkv.scheduler``.

Owns: AsyncioScheduler and ThreadWorker. Must never do: decide anything.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

from raftkv.scheduler import Timer

Job = Callable[[], None]
Done = Callable[[BaseException | None], None]


class AsyncioScheduler:
    """``Scheduler`` over a running event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return self._loop.time()

    def call_soon(self, callback: Callable[[], None], /) -> None:
        self._loop.call_soon(callback)

    def call_later(self, delay_s: float, callback: Callable[[], None], /) -> Timer:
        return self._loop.call_later(delay_s, callback)


class ThreadWorker:
    """``Worker`` over one thread of its own, named for what it does."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[tuple[Job, Done] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def run(self, job: Job, done: Done) -> None:
        self._jobs.put((job, done))

    def close(self) -> None:
        """Finish what was given, then end the thread. Blocks for as long as that takes."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (task := self._jobs.get()) is not None:
            job, done = task
            error: BaseException | None = None
            try:
                job()
            except BaseException as e:  # noqa: BLE001 - handed to the loop, which decides
                error = e
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(done, error)
