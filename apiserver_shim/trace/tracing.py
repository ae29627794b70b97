"""`raftkv-control-plane trace`: requests of the API beside the store's own events.

Owns: following both, and putting them into one order. Must never do: take part: it only reads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import orjson
from rich.console import Console

from apiserver_shim.components.api_client import UNREACHABLE, ApiClient, ApiFailure
from apiserver_shim.trace.walk import Step, Walk, step_of_access, step_of_event
from raftkv.client import Client, prefix_end
from raftkv.errors import RaftKVError

log = logging.getLogger("apiserver_shim.trace")

REQUESTS = "/debug/requests?follow=1"
REGISTRY = b"/registry/"
WINDOW_S = 0.2
"""Steps are put into the order of their revisions within such a time."""
AGAIN_S = 1.0
QUEUE_MAX = 10_000

Pause = Callable[[float], Awaitable[None]]


async def trace(
    client: ApiClient, store: Sequence[str], once: str, pause: Pause = asyncio.sleep
) -> None:
    """Until cancelled, or until a pod named ``once`` (or once-...) runs."""
    walk = Walk(Console(highlight=False, soft_wrap=True), once)
    steps: asyncio.Queue[Step] = asyncio.Queue(QUEUE_MAX)
    following = [
        asyncio.create_task(_follow_requests(client, steps, pause)),
        asyncio.create_task(_follow_store(store, steps, pause)),
    ]
    try:
        walk.begin()
        while not walk.is_done:
            found = [await steps.get()]
            await pause(WINDOW_S)
            while not steps.empty():
                found.append(steps.get_nowait())
            for step in in_order(found):
                walk.show(step)
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


def in_order(steps: Sequence[Step]) -> list[Step]:
    """By revision. A request that names none (a binding) stays behind what came before it."""
    newest = 0
    placed: list[tuple[tuple[int, int], Step]] = []
    for step in steps:
        newest = max(newest, step.revision)
        placed.append((step.order if step.revision else (newest, 2), step))
    return [step for _, step in sorted(placed, key=lambda each: each[0])]


async def _follow_requests(client: ApiClient, steps: asyncio.Queue[Step], pause: Pause) -> None:
    while True:
        try:
            async for line in client.lines(REQUESTS):
                if line.strip():
                    await steps.put(step_of_access(orjson.loads(line)))
        except (ApiFailure, *UNREACHABLE) as e:
            log.warning("the API's requests cannot be followed: %s", e or type(e).__name__)
        await pause(AGAIN_S)


async def _follow_store(store: Sequence[str], steps: asyncio.Queue[Step], pause: Pause) -> None:
    async with Client(store) as client:
        while True:
            try:
                watch = client.watch(REGISTRY, range_end=prefix_end(REGISTRY))
                async for event in watch.events():
                    await steps.put(step_of_event(event))
            except RaftKVError as e:
                log.warning("the store cannot be watched: %s", e)
            await pause(AGAIN_S)
