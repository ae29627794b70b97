"""Carries out on a real cluster what a nemesis drew.

Owns: beginning a disruption, and ending exactly that one. Must never do: choose.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import count
from random import Random

import grpc.aio

from jepsen_like.client.recorder import Recorder
from jepsen_like.cluster.cluster import Cluster
from jepsen_like.cluster.damage import flip_in_database, flip_in_log
from jepsen_like.cluster.replacement import add, remove
from jepsen_like.cluster.storms import ALL_KEYS, Storms
from jepsen_like.nemesis.disruption import (
    LOG,
    BitFlip,
    ClockSkew,
    Compactions,
    Cut,
    Defrags,
    DiskFull,
    Disruption,
    Kill,
    LeaderTransfers,
    Pause,
    Replacement,
    Slow,
    SlowDisk,
    SlowReaders,
)
from jepsen_like.nemesis.draws import View
from jepsen_like.preload.shim_control import ShimControl
from raftkv.api import rpc_pb2 as pb

GIVE_UP_WAIT_S = 1.0
"""A member that met the full disk may need this long to end, and to be found ended."""


class Injector:
    """``first_process`` and those after it are the numbers of the clients that it makes."""

    def __init__(
        self, cluster: Cluster, recorder: Recorder, random: Random, first_process: int
    ) -> None:
        self._cluster = cluster
        self._random = random
        self._storms = Storms(cluster, recorder, random)
        self._processes = count(first_process)

    async def view(self, under_way: Iterable[Disruption]) -> View:
        """What the nemesis may know now."""
        members = self._cluster.members
        down = frozenset(n for n, m in members.items() if m.pid is None or m.is_paused)
        leader = await self._cluster.leader()
        damaged = frozenset(name for name, member in members.items() if member.is_damaged)
        return View(self._cluster.names, leader, down, tuple(under_way), damaged)

    @asynccontextmanager
    async def broken(self, disruption: Disruption) -> AsyncIterator[None]:
        """It is broken inside, and mended after."""
        async with self._context(disruption):
            yield

    def _context(self, disruption: Disruption) -> AbstractAsyncContextManager[None]:
        match disruption:
            case Kill():
                return self._killed(disruption)
            case Pause():
                return self._paused(disruption)
            case Cut():
                return self._cut(disruption)
            case Slow():
                return self._slowed(disruption)
            case Compactions() | LeaderTransfers() | Defrags():
                return self._storms.rages(disruption, next(self._processes))
            case SlowReaders():
                return self._unread(disruption)
            case BitFlip():
                return self._flipped(disruption)
            case DiskFull():
                return self._full(disruption)
            case SlowDisk():
                return self._slow_disk(disruption)
            case ClockSkew():
                return self._skewed(disruption)
            case Replacement():
                return self._replaced(disruption)

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
    async def _flipped(self, flip: BitFlip) -> AsyncIterator[None]:
        """From here on the member may refuse to start, or end as soon as it sees the damage."""
        member = self._cluster.members[flip.member]
        await member.kill()
        member.is_damaged = member.has_excuse = True
        data_dir, program = member.place.data_dir, member.program
        try:
            if flip.file == LOG:
                flip_in_log(sorted(data_dir.glob(program.log)), self._random)
            else:
                flip_in_database(data_dir / program.database, self._random)
            yield
        finally:
            await member.start()

    @asynccontextmanager
    async def _full(self, full: DiskFull) -> AsyncIterator[None]:
        """A member that is about to end for it gets the time to do so before it counts again."""
        member, disk = self._cluster.members[full.member], self._cluster.disks[full.member]
        member.may_give_up = member.has_excuse = True
        disk.fill()
        try:
            yield
        finally:
            disk.free()
            await asyncio.sleep(GIVE_UP_WAIT_S)
            member.may_give_up = False
            await member.start()

    @asynccontextmanager
    async def _slow_disk(self, slow: SlowDisk) -> AsyncIterator[None]:
        shim = self._shim(slow.member)
        shim.set_sync_delay(slow.delay_s)
        try:
            yield
        finally:
            shim.set_sync_delay(0.0)

    @asynccontextmanager
    async def _skewed(self, skew: ClockSkew) -> AsyncIterator[None]:
        shims = [self._shim(name) for name in skew.members]
        for shim in shims:
            shim.set_wall(skew.offset_s)
            shim.set_rate(skew.rate_ppm)
        try:
            yield
        finally:
            for shim in shims:
                shim.set_wall(0.0)
                shim.set_rate(0)

    @asynccontextmanager
    async def _replaced(self, replacement: Replacement) -> AsyncIterator[None]:
        await remove(self._cluster, replacement.member)
        try:
            yield
        finally:
            await add(self._cluster, replacement.member)

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

    def _shim(self, name: str) -> ShimControl:
        shim = self._cluster.members[name].shim
        assert shim is not None  # Cluster gives every member one where the nemesis needs it
        return shim
