"""A member leaves the cluster for good, and a new one comes in its place.

Owns: the order: remove, kill, wipe, add, start. Must never do: leave the cluster one member short
without a word: what cannot be done in time is a TimedOut. Between remove and add the name has no
member; its address stays, as a machine that was replaced under the same name.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence

import grpc.aio

from jepsen_like.client.member_client import MemberClient
from jepsen_like.cluster.cluster import Cluster, TimedOut
from raftkv.api import rpc_pb2 as pb

CALL_TIMEOUT_S = 2.0
CHANGE_MAX_S = 30.0
AGAIN_S = 0.2
"""Between two tries of a change that the cluster refuses for now, within a deadline."""


async def remove(cluster: Cluster, name: str) -> None:
    """Out of the configuration, and its data with it."""
    member = cluster.members[name]
    url = member.place.advertised.url
    member.may_give_up = member.has_excuse = True  # it ends when it learns that it was removed

    async def ask(client: MemberClient) -> bool:
        ids = [known.ID for known in await _members(client) if url in known.peerURLs]
        for one in ids:
            await client.unary(
                "/etcdserverpb.Cluster/MemberRemove",
                pb.MemberRemoveRequest(ID=one),
                pb.MemberRemoveResponse,
                CALL_TIMEOUT_S,
            )
        return not ids

    await _until_done(cluster, name, ask, f"{name} is no member")
    await member.kill()
    member.may_give_up = False
    shutil.rmtree(member.place.data_dir, ignore_errors=True)


async def add(cluster: Cluster, name: str) -> None:
    """A new member with the old name and address; started when the cluster knows of it."""
    member = cluster.members[name]
    url = member.place.advertised.url

    async def ask(client: MemberClient) -> bool:
        if any(url in known.peerURLs for known in await _members(client)):
            return True
        await client.unary(
            "/etcdserverpb.Cluster/MemberAdd",
            pb.MemberAddRequest(peerURLs=[url]),
            pb.MemberAddResponse,
            CALL_TIMEOUT_S,
        )
        return False

    await _until_done(cluster, name, ask, f"{name} is a member")
    member.joins = True
    await member.start()


async def _members(client: MemberClient) -> Sequence[pb.Member]:
    """Linearizable from etcd 3.5 on: 3.4 answers from its own state, so a change is repeated until
    its result is seen."""
    answer = await client.unary(
        "/etcdserverpb.Cluster/MemberList",
        pb.MemberListRequest(linearizable=True),
        pb.MemberListResponse,
        CALL_TIMEOUT_S,
    )
    return answer.members


async def _until_done(
    cluster: Cluster,
    name: str,
    ask: Callable[[MemberClient], Awaitable[bool]],
    what: str,
) -> None:
    """Ask the others in turn; an unanswered change may have happened, so each try looks first."""
    last = ""
    try:
        async with asyncio.timeout(CHANGE_MAX_S):
            while True:
                for client in [c for other, c in cluster.living.items() if other != name]:
                    try:
                        if await ask(client):
                            return
                    except grpc.aio.AioRpcError as e:
                        last = f" ({e.code().name}: {e.details()})"
                await asyncio.sleep(AGAIN_S)
    except TimeoutError:
        raise TimedOut(f"after {CHANGE_MAX_S:g} s still not: {what}{last}") from None
