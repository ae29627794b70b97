"""One watch on a stream of its own, from its creation until it has seen enough.

Owns: reading the stream, asking for progress, and the Watch that comes of it. Must never do: take
a watch up again elsewhere: a session that resumes opens the next one, and the history has both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc.aio

from jepsen_like.client.codec import progress_request, watch_request, watch_response
from jepsen_like.client.member_client import MemberClient, Stream
from jepsen_like.history.operation import Watch
from jepsen_like.workloads.session import OpenWatch
from raftkv.api import rpc_pb2 as pb

PROGRESS_EVERY_S = 0.25
"""Between two requests for progress, as an apiserver sends them."""
_PATH = "/etcdserverpb.Watch/Watch"

_LOST = (grpc.aio.AioRpcError, asyncio.InvalidStateError)
"""What a stream raises that the member, or the connection, has ended."""


async def watch(
    process: int, member: str, client: MemberClient, step: OpenWatch, now_s: Callable[[], float]
) -> Watch:
    """What was seen until ``step`` has enough, or the stream was lost."""
    seen = Watch(process, member, step.key, step.end, step.start_revision, step.prev_kv, now_s())
    async with client.stream(_PATH, pb.WatchResponse) as stream:
        reading = asyncio.create_task(_read(stream, seen, step.events_max, now_s))
        asking = asyncio.create_task(_ask(stream, step))
        await asyncio.wait({reading}, timeout=step.for_s)
        for task in (reading, asking):
            task.cancel()
        ends = await asyncio.gather(reading, asking, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):  # a CancelledError, which is ours, is none
            raise end
    seen.closed_s = now_s()
    return seen


async def _ask(stream: Stream, step: OpenWatch) -> None:
    """Create the watch; ask for progress for as long as it lasts."""
    create = watch_request(step.key, step.end, step.start_revision, prev_kv=step.prev_kv)
    try:
        await stream.write(create)
        while step.progress:
            await asyncio.sleep(PROGRESS_EVERY_S)
            await stream.write(progress_request())
    except _LOST:
        return  # the reader learns it too, and ends the watch


async def _read(stream: Stream, seen: Watch, events_max: int, now_s: Callable[[], float]) -> None:
    events = 0
    while events < events_max:
        try:
            message = await stream.read()
        except _LOST:
            return
        if not isinstance(message, pb.WatchResponse):
            return  # the end of the stream
        response = watch_response(message, now_s())
        seen.responses.append(response)
        events += len(response.events)
        if response.canceled:
            return
