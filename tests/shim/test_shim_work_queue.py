"""A controller's queue: each name once, failures later, and one name's trouble is nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from apiserver_shim.components.api_client import ApiFailure
from apiserver_shim.components.work_queue import WorkQueue


class Work:
    """Fails with what it is told to, so many times."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failures: dict[str, list[Exception]] = {}
        self.enough = asyncio.Event()
        self.wanted = 0

    async def reconcile(self, namespace: str, name: str) -> None:
        left = self.failures.get(name)
        if left:
            raise left.pop()
        self.done.append(name)
        if len(self.done) == self.wanted:
            self.enough.set()

    async def until(self, count: int) -> list[str]:
        self.wanted = count
        if len(self.done) < count:
            self.enough.clear()
            async with asyncio.timeout(30):
                await self.enough.wait()
        return self.done


@asynccontextmanager
async def serving(work: Work) -> AsyncIterator[WorkQueue]:
    queue = WorkQueue("test", work.reconcile)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_name_that_waits_is_looked_at_once() -> None:
    """However often it was added."""
    work = Work()
    async with serving(work) as queue:
        for name in ("a", "b", "a", "a"):
            queue.add("ns", name)
        assert await work.until(2) == ["a", "b"]
        queue.add("ns", "a")
        assert await work.until(3) == ["a", "b", "a"]


async def test_what_fails_is_tried_again_and_holds_up_nobody() -> None:
    """A refusal, silence, or a defect: the others are served, then it comes again."""
    work = Work()
    work.failures["bad"] = [ApiFailure(500, "", "x"), TimeoutError(), KeyError("spec")]
    async with serving(work) as queue:
        queue.add("ns", "bad")
        queue.add("ns", "good")
        assert await work.until(2) == ["good", "bad"]


async def test_of_several_times_to_look_again_the_first_holds() -> None:
    """So there is one timer per name, however often a controller asks for one."""
    work = Work()
    async with serving(work) as queue:
        queue.add_later("ns", "a", 1000)
        queue.add_later("ns", "a", 0.001)
        queue.add_later("ns", "a", 500)
        assert await work.until(1) == ["a"]
        queue.add_later("ns", "a", 0.001)
        assert await work.until(2) == ["a", "a"]
