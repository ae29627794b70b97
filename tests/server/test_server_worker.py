"""The real worker: what it does on its own thread, what on the loop's, and in which order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from raftkv.server.asyncio_runtime import (
    AWAY_S_MAX,
    AWAY_S_MIN,
    BRIEF_S_MAX,
    Pace,
    ThreadWorker,
)

DEADLINE_S = 10


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def takes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def worker() -> Iterator[ThreadWorker]:
    worker = ThreadWorker(asyncio.get_running_loop(), "test")
    yield worker
    worker.close()


def test_a_slow_job_sends_the_next_ones_away_for_a_while(clock: Clock) -> None:
    """Then one more is tried."""
    pace = Pace(clock)
    assert pace.is_quick()
    assert pace.do(lambda: clock.takes(BRIEF_S_MAX / 2)) is None
    assert pace.is_quick()
    pace.do(lambda: clock.takes(2 * BRIEF_S_MAX))
    assert not pace.is_quick()
    clock.takes(AWAY_S_MIN * 0.9)
    assert not pace.is_quick()
    clock.takes(AWAY_S_MIN * 0.2)
    assert pace.is_quick()


def test_a_disk_that_stays_slow_is_tried_ever_more_seldom(clock: Clock) -> None:
    """Up to a limit; once quick it is trusted as before."""
    pace = Pace(clock)
    away = []
    for _ in range(12):
        pace.do(lambda: clock.takes(1.0))
        began = clock.now
        while not pace.is_quick():
            clock.takes(AWAY_S_MIN / 4)
        away.append(clock.now - began)
    assert away[0] == pytest.approx(AWAY_S_MIN, rel=0.3)
    assert away[1] == pytest.approx(2 * AWAY_S_MIN, rel=0.3)
    assert away[-1] == pytest.approx(AWAY_S_MAX, rel=0.1)
    pace.do(lambda: None)
    pace.do(lambda: clock.takes(1.0))
    clock.takes(AWAY_S_MIN * 1.01)
    assert pace.is_quick()


def test_what_a_job_raises_is_handed_over(clock: Clock) -> None:
    """As by the thread: the disk's error is the owner's to judge."""

    def fail() -> None:
        raise OSError("no space")

    assert isinstance(Pace(clock).do(fail), OSError)


async def test_a_brief_job_is_done_at_once_by_the_loop(worker: ThreadWorker) -> None:
    """Nothing is handed to the thread, and ``done`` has been called when it returns."""
    seen: list[object] = []
    worker.run_brief(lambda: seen.append(threading.current_thread()), seen.append)
    assert seen == [threading.main_thread(), None]


async def test_a_brief_job_does_not_overtake_what_the_thread_still_does(
    worker: ThreadWorker,
) -> None:
    """One job at a time, in the order given, wherever each is done."""
    go, over = threading.Event(), asyncio.Event()
    seen: list[object] = []
    worker.run(lambda: seen.append(go.wait(DEADLINE_S)), lambda error: None)
    worker.run_brief(lambda: seen.append(threading.current_thread().name), lambda error: over.set())
    assert seen == []
    go.set()
    async with asyncio.timeout(DEADLINE_S):
        await over.wait()
    assert seen == [True, "test"]
