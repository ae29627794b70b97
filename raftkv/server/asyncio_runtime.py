"""The real clock and the real threads behind ``raftkv.scheduler``.

Owns: AsyncioScheduler, ThreadWorker, and the decision when a brief job is done on the loop's own
thread (docs/decisions/0004). Must never do: hold the loop up again after it was held up once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from raftkv.scheduler import Timer

Job = Callable[[], None]
Done = Callable[[BaseException | None], None]

BRIEF_S_MAX = 0.002
"""A job on the loop's thread that took longer sends the next ones to the worker's."""
AWAY_S_MIN = 0.1
AWAY_S_MAX = 30.0
"""For how long: the least the first time, twice as long after each further one in a row."""


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


class Pace:
    """Whether brief jobs have been brief: a disk that is quick today may stall tomorrow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._away_s = AWAY_S_MIN
        self._away_until = clock()

    def is_quick(self) -> bool:
        return self._clock() >= self._away_until

    def do(self, job: Job) -> BaseException | None:
        """Do ``job`` here and now, and note how long it took. Returns what it raised."""
        began = self._clock()
        error = _outcome(job)
        ended = self._clock()
        if ended - began <= BRIEF_S_MAX:
            self._away_s = AWAY_S_MIN
        else:
            self._away_until = ended + self._away_s
            self._away_s = min(2 * self._away_s, AWAY_S_MAX)
        return error


class ThreadWorker:
    """``Worker`` over one thread of its own, named for what it does."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._pace = Pace(time.perf_counter)
        self._unfinished = 0
        self._jobs: SimpleQueue[tuple[Job, Done] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def run(self, job: Job, done: Done) -> None:
        self._unfinished += 1
        self._jobs.put((job, done))

    def run_brief(self, job: Job, done: Done) -> None:
        """Here, unless that would overtake what the thread still does, or lately took long."""
        if self._unfinished or not self._pace.is_quick():
            self.run(job, done)
        else:
            done(self._pace.do(job))

    def close(self) -> None:
        """Finish what was given, then end the thread. Blocks for as long as that takes."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (task := self._jobs.get()) is not None:
            job, done = task
            error = _outcome(job)
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._finish, done, error)

    def _finish(self, done: Done, error: BaseException | None) -> None:
        self._unfinished -= 1
        done(error)


def _outcome(job: Job) -> BaseException | None:
    try:
        job()
    except BaseException as e:  # noqa: BLE001 - handed to the loop, which decides
        return e
    return None
