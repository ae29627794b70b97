"""A cluster of real members on loopback, with a proxy in front of each peer address.

Owns: Cluster: start, find the leader, restart, wait until all agree, and hash. Must never do: look
into a member's files, or know which program it is beyond Program. Clients talk to the members
directly: only links between members can be cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType

import grpc.aio

from jepsen_like.client.member_client import MemberClient
from jepsen_like.cluster.link_proxy import Address, LinkProxy
from jepsen_like.cluster.links import Links, Pair
from jepsen_like.cluster.member_process import Died, MemberProcess, Place
from jepsen_like.cluster.ports import reserve_ports
from jepsen_like.cluster.program import Program
from jepsen_like.cluster.small_disk import SmallDisk
from jepsen_like.cluster.socket_owner import Endpoint, owner
from jepsen_like.history.operation import MemberState
from jepsen_like.history.request import Get
from jepsen_like.history.result import Found
from jepsen_like.nemesis.registry import OWN_DISK, PRELOAD
from jepsen_like.preload.shim_control import ShimControl

ASK_TIMEOUT_S = 5.0
STATUS_TIMEOUT_S = 0.5
POLL_S = 0.05
"""Between two asks of a real process; each wait that uses it has a deadline."""
HEALTH_KEY = "\0"


class TimedOut(Exception):
    """The cluster did not become what was waited for; the text says what and by when."""


class Cluster:
    """An async context manager that ends all processes. ``needs`` are a nemesis's: members get a
    disk of their own, or the shim, only where it will use them. Members that were retired are
    neither waited for nor asked."""

    def __init__(
        self,
        program: Program,
        directory: Path,
        *,
        members: int,
        died: Died,
        needs: frozenset[str] = frozenset(),
    ) -> None:
        self.program = program
        own_disk = OWN_DISK in needs
        names = [f"m{number}" for number in range(members)]
        ports = iter(reserve_ports(3 * members))
        places = [
            Place(
                n,
                Address(next(ports)),
                Address(next(ports)),
                Address(next(ports)),
                directory,
                own_disk,
            )
            for n in names
        ]
        initial = ",".join(f"{place.name}={place.advertised.url}" for place in places)
        shims = {
            p.name: ShimControl(directory / f"{p.name}.shim") for p in places if PRELOAD in needs
        }
        self.members = {
            p.name: MemberProcess(program, p, initial, died, shims.get(p.name)) for p in places
        }
        self.disks = {p.name: SmallDisk(p.disk_dir) for p in places if own_disk}
        self.links = Links(names)
        self.clients = {p.name: MemberClient(p.endpoint, ASK_TIMEOUT_S) for p in places}
        self.proxies = [
            LinkProxy(p.name, p.advertised, p.peer, self.links, self._who_calls) for p in places
        ]

    async def __aenter__(self) -> Cluster:
        try:
            for disk in self.disks.values():
                await disk.open()
            for proxy in self.proxies:
                await proxy.start()
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.members)

    @property
    def endpoints(self) -> dict[str, str]:
        return {name: member.place.endpoint for name, member in self.members.items()}

    async def start(self, *, seconds: float = 60) -> None:
        """Start the members that do not run, and wait until all serve linearizable reads."""
        for member in self.members.values():
            await member.start()
        await self.wait_healthy(seconds=seconds)

    @property
    def living(self) -> dict[str, MemberClient]:
        """The clients of the members that were not retired."""
        return {n: c for n, c in self.clients.items() if not self.members[n].is_retired}

    async def kill(self) -> None:
        await asyncio.gather(*(member.kill() for member in self.members.values()))

    async def close(self) -> None:
        """Nothing of it is left but its directory."""
        await self.kill()
        for proxy in self.proxies:
            await proxy.close()
        for client in self.clients.values():
            await client.close()
        for disk in self.disks.values():
            await disk.close()

    def reset(self, pairs: frozenset[Pair]) -> None:
        """End the connections that use one of the links."""
        for proxy in self.proxies:
            proxy.reset(pairs)

    async def leader(self) -> str | None:
        """The running member that says of itself that it leads, in the newest term."""
        running = [
            name for name, m in self.members.items() if m.pid is not None and not m.is_paused
        ]
        claims = await asyncio.gather(*(self._claim(name) for name in running))
        found = max((claim for claim in claims if claim is not None), default=None)
        return found[1] if found is not None else None

    async def wait_healthy(self, *, seconds: float) -> None:
        await self._wait(self._all_healthy, "all members serve", seconds)

    async def agree(self, *, seconds: float) -> int:
        """Until all members hold the same revision and compaction; the revision."""
        revision = 0

        async def agreed() -> bool:
            nonlocal revision
            answers = await asyncio.gather(*(c.hash_kv() for c in self.living.values()))
            revision = answers[0].header.revision
            return len({(a.header.revision, a.compact_revision) for a in answers}) == 1

        await self._wait(agreed, "all members hold the same revision", seconds)
        return revision

    async def states(self, revision: int) -> list[MemberState]:
        """HashKV of every member at one revision."""
        living = self.living
        answers = await asyncio.gather(*(c.hash_kv(revision) for c in living.values()))
        return [
            MemberState(name, revision, answer.compact_revision, answer.hash)
            for name, answer in zip(living, answers, strict=True)
        ]

    def _who_calls(self, local: Endpoint, remote: Endpoint) -> str | None:
        pids = {name: m.pid for name, m in self.members.items()}
        return owner(local, remote, {name: pid for name, pid in pids.items() if pid is not None})

    async def _claim(self, name: str) -> tuple[int, str] | None:
        try:
            status = await self.clients[name].status(STATUS_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return None  # it cannot say that it leads
        leads = status.leader and status.leader == status.header.member_id
        return (status.raftTerm, name) if leads else None

    async def _all_healthy(self) -> bool:
        outcomes = await asyncio.gather(*(c.ask(Get(HEALTH_KEY)) for c in self.living.values()))
        return all(isinstance(outcome, Found) for outcome in outcomes)

    async def _wait(
        self, condition: Callable[[], Awaitable[bool]], what: str, seconds: float
    ) -> None:
        """Errors of calls count as "not yet", the last is told."""
        last = ""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        if await condition():
                            return
                    except grpc.aio.AioRpcError as e:
                        last = f" ({e.code().name}: {e.details()})"
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise TimedOut(f"after {seconds:g} s still not: {what}{last}") from None
