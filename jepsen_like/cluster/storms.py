"""Requests that come again and again while a disruption lasts.

Owns: what each storm asks, and how often. Must never do: wait for an answer beyond its own timeout:
a storm ends soon after its end was asked for. Compactions are a client like any other: they are in
the history, for they change what reads may see. What changes no answer is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import cycle
from random import Random

import grpc.aio

from jepsen_like.client.member_client import MemberClient
from jepsen_like.client.recorder import Recorder
from jepsen_like.cluster.cluster import Cluster
from jepsen_like.history.request import Compact, Get
from jepsen_like.history.result import Found
from jepsen_like.nemesis.disruption import Compactions, Defrags, LeaderTransfers
from raftkv.api import rpc_pb2 as pb

ALL_KEYS = "\0"
STORM_TIMEOUT_S = 1.0
DEFRAG_TIMEOUT_S = 3.0

Storm = Compactions | LeaderTransfers | Defrags


class Storms:
    """One cluster's."""

    def __init__(self, cluster: Cluster, recorder: Recorder, random: Random) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._random = random

    @asynccontextmanager
    async def rages(self, storm: Storm, process: int) -> AsyncIterator[None]:
        """``process`` is the number of the client that the storm's operations have."""
        over = asyncio.Event()
        match storm:
            case Compactions():
                once = partial(self._compact, storm, process)
            case LeaderTransfers():
                once = partial(self._transfer)
            case Defrags():
                once = partial(self._defragment_next, cycle(self._cluster.names))
        raging = asyncio.create_task(_repeat(once, storm.every_s, over))
        try:
            yield
        finally:
            over.set()
            await raging

    async def _compact(self, storm: Compactions, process: int) -> None:
        member = self._random.choice(self._cluster.names)
        async with MemberClient(self._cluster.endpoints[member], STORM_TIMEOUT_S) as client:
            read = await self._recorder.ask(process, member, client, Get(ALL_KEYS, limit=1))
            if isinstance(read.outcome, Found):
                behind = self._random.randint(0, storm.behind)
                revision = max(1, read.outcome.revision - behind)
                request = Compact(revision, physical=self._random.random() < 0.5)
                await self._recorder.ask(process, member, client, request)

    async def _transfer(self) -> None:
        """To one of the others, whoever is up or not: a leader must bear a target that is away."""
        leader = await self._cluster.leader()
        if leader is None:
            return
        asked = self._cluster.clients[leader]
        known = await asked.unary(
            "/etcdserverpb.Cluster/MemberList",
            pb.MemberListRequest(),
            pb.MemberListResponse,
            STORM_TIMEOUT_S,
        )
        others = [member.ID for member in known.members if known.header.member_id != member.ID]
        if others:
            await asked.unary(
                "/etcdserverpb.Maintenance/MoveLeader",
                pb.MoveLeaderRequest(targetID=self._random.choice(others)),
                pb.MoveLeaderResponse,
                STORM_TIMEOUT_S,
            )

    async def _defragment_next(self, names: Iterator[str]) -> None:
        await self._cluster.clients[next(names)].unary(
            "/etcdserverpb.Maintenance/Defragment",
            pb.DefragmentRequest(),
            pb.DefragmentResponse,
            DEFRAG_TIMEOUT_S,
        )


async def _repeat(once: Callable[[], Awaitable[None]], every_s: float, over: asyncio.Event) -> None:
    """A call that fails is one that this cluster could not serve now."""
    while not over.is_set():
        try:
            await once()
        except grpc.aio.AioRpcError as e:
            if e.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise
        await asyncio.sleep(every_s)
