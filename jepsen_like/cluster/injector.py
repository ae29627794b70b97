"""Carries out on a real cluster what a nemesis drew.

Owns: beginning a disruption, and ending exactly that one. Must never do: choose. A compaction storm
is a client like any other: its operations are in the history, for they change what reads may see.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from random import Random

import grpc.aio

from jepsen_like.client.member_client import MemberClient
from jepsen_like.client.recorder import Recorder
from jepsen_like.cluster.cluster import Cluster
from jepsen_like.history.request import Compact, Get
from jepsen_like.history.result import Found
from jepsen_like.nemesis.disruption import (
    Compactions,
    Cut,
    Disruption,
    Kill,
    Pause,
    Slow,
    SlowReaders,
)
from jepsen_like.nemesis.nemesis import View
from raftkv.api import rpc_pb2 as pb

ALL_KEYS = "\0"
STORM_TIMEOUT_S = 1.0


class Injector:
    """``first_process`` and those after it are the numbers of the clients that it makes."""

    def __init__(
        self, cluster: Cluster, recorder: Recorder, random: Random, first_process: int
    ) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._random = random
        self._processes = count(first_process)

    async def view(self, under_way: Iterable[Disruption]) -> View:
        """What the nemesis may know now."""
        members = self._cluster.members
        down = frozenset(n for n, m in members.items() if m.pid is None or m.is_paused)
        leader = await self._cluster.leader()
        return View(self._cluster.names, leader, down, tuple(under_way))

    @asynccontextmanager
    async def broken(self, disruption: Disruption) -> AsyncIterator[None]:
        """It is broken inside, and mended after."""
        match disruption:
            case Kill():
                context = self._killed(disruption)
            case Pause():
                context = self._paused(disruption)
            case Cut():
                context = self._cut(disruption)
            case Slow():
                context = self._slowed(disruption)
            case Compactions():
                context = self._compacting(disruption)
            case SlowReaders():
                context = self._unread(disruption)
        async with context:
            yield

    @asynccontextmanager
    async def _killed(self, kill: Kill) -> AsyncIterator[None]:
        members = [self._cluster.members[name] for name in kill.members]
        await asyncio.gather(*(member.kill() for member in members))
        try:
            yield
        finally:
            for member in members:
                await member.start()

    @asynccontextmanager
    async def _paused(self, pause: Pause) -> AsyncIterator[None]:
        members = [self._cluster.members[name] for name in pause.members]
        for member in members:
            member.pause()
        try:
            yield
        finally:
            for member in members:
                member.resume()

    @asynccontextmanager
    async def _cut(self, cut: Cut) -> AsyncIterator[None]:
        number = self._cluster.links.cut(cut.pairs)
        if cut.resets:
            self._cluster.reset(cut.pairs)
        try:
            yield
        finally:
            self._cluster.links.end(number)

    @asynccontextmanager
    async def _slowed(self, slow: Slow) -> AsyncIterator[None]:
        number = self._cluster.links.slow(slow.pairs, slow.delay_s)
        try:
            yield
        finally:
            self._cluster.links.end(number)

    @asynccontextmanager
    async def _compacting(self, storm: Compactions) -> AsyncIterator[None]:
        over = asyncio.Event()
        compacting = asyncio.create_task(self._compact(storm, over))
        try:
            yield
        finally:
            over.set()
            await compacting

    async def _compact(self, storm: Compactions, over: asyncio.Event) -> None:
        """With a timeout of its own: a storm must end soon after its end was asked for."""
        process = next(self._processes)
        while not over.is_set():
            member = self._random.choice(self._cluster.names)
            endpoint = self._cluster.endpoints[member]
            async with MemberClient(endpoint, STORM_TIMEOUT_S) as client:
                await self._compact_once(storm, process, member, client)
            await asyncio.sleep(storm.every_s)

    async def _compact_once(
        self, storm: Compactions, process: int, member: str, client: MemberClient
    ) -> None:
        read = await self._recorder.ask(process, member, client, Get(ALL_KEYS, limit=1))
        if isinstance(read.outcome, Found):
            behind = self._random.randint(0, storm.behind)
            revision = max(1, read.outcome.revision - behind)
            request = Compact(revision, physical=self._random.random() < 0.5)
            await self._recorder.ask(process, member, client, request)

    @asynccontextmanager
    async def _unread(self, readers: SlowReaders) -> AsyncIterator[None]:
        """What the streams would have said is not in the history: nobody read it."""
        client = self._cluster.clients[readers.member]
        key = ALL_KEYS.encode()
        create = pb.WatchCreateRequest(key=key, range_end=key, start_revision=1)
        async with AsyncExitStack() as streams:
            for _ in range(readers.streams):
                stream = await streams.enter_async_context(
                    client.stream("/etcdserverpb.Watch/Watch", pb.WatchResponse)
                )
                try:
                    await stream.write(pb.WatchRequest(create_request=create))
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    break  # the member is gone; the streams so far stay as they are
            yield
