"""One run on real processes: start, drive, break, heal, read, hash, restart, hash again.

Owns: the order of these phases, and the settings that a history begins with. Must never do: judge;
that is done offline, from the journal. What cannot be finished is recorded as a fault that
``checkers.recovery`` judges, so that a cluster that never recovers has a history too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import grpc.aio

from jepsen_like.checkers.recovery import BROKEN_LOG, STUCK
from jepsen_like.client.member_client import MemberClient
from jepsen_like.client.recorder import Counts, Recorder
from jepsen_like.client.session_loop import SessionLoop
from jepsen_like.client.witness import witness
from jepsen_like.cluster.cluster import Cluster, TimedOut
from jepsen_like.cluster.fault_loop import FaultLoop
from jepsen_like.cluster.injector import Injector
from jepsen_like.cluster.program import Program
from jepsen_like.history.journal import Journal
from jepsen_like.history.operation import Fault
from jepsen_like.history.request import Request
from jepsen_like.history.result import Refused, Unknown
from jepsen_like.nemesis.nemesis import HOLD_MAX_S, Nemesis
from jepsen_like.workloads.session import Workload

HISTORY = "history.jsonl"
RECOVERY_S = 60.0
CALM_PART, CALM_MAX_S = 0.2, 5.0
"""The end of the time without faults: clients must be served again."""
INJECTED_PROCESSES = 1000
"""From here on: the numbers of clients that a disruption makes."""
FINAL_PROCESS = 999
WITNESS_PROCESS = 998
WITNESS_LAST_S = 3.0
"""How long it still watches once all is written: a stretch and a progress notification."""
LOOK_EVERY_S = 0.2
"""Between two looks for whoever watches the run, and between two asks of the final reads."""
BROKEN_CODE_SIGNS = ("Traceback (most recent call last)", "was never awaited")
BROKEN_LOG_SIGNS = (*BROKEN_CODE_SIGNS, "panic:")
"""A Go program's way to end for a damaged file or a full disk is a panic of its own wording."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What --options said. ``rate`` is of all clients together, per second."""

    workload: str
    nemesis: str
    seed: int
    db: str = "raftkv"
    members: int = 3
    time_s: float = 60.0
    rate: float = 200.0
    clients: int = 10
    timeout_s: float = 1.0
    binary: str = ""
    hold_s: float = HOLD_MAX_S

    def as_dict(self) -> dict[str, str | int | float | bool]:
        return {"tier": "processes", **asdict(self)}


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody who looks on sees."""

    phase: str
    elapsed_s: float
    counts: Counts
    under_way: list[str]


class Run:
    """Made inside the event loop that it runs in. ``look`` is called several times a second."""

    def __init__(
        self,
        settings: Settings,
        workload: Workload,
        nemesis: Nemesis,
        program: Program,
        directory: Path,
        look: Callable[[Sight], None],
    ) -> None:
        self._settings = settings
        self._workload = workload
        self._nemesis = nemesis
        self._directory = directory
        self._look = look
        self._phase = "starting"
        self._journal = Journal(directory / HISTORY, settings.as_dict())
        self._recorder = Recorder(self._journal)
        self._cluster = Cluster(
            program,
            directory,
            members=settings.members,
            died=self._on_death,
            needs=nemesis.needs,
        )
        self._faults = FaultLoop(
            nemesis,
            Injector(self._cluster, self._recorder, self._random("injector"), INJECTED_PROCESSES),
            self._recorder,
            self._random("nemesis"),
        )

    async def execute(self) -> None:
        """Raises TimedOut when the cluster does not even start."""
        looking = asyncio.create_task(self._look_on())
        try:
            async with self._cluster:
                watching = asyncio.create_task(self._witness())
                try:
                    await self._drive()
                    await self._recover(watching)
                finally:
                    watching.cancel()
                self._read_logs()
        finally:
            looking.cancel()
            self._journal.close()

    # --- phases ---------------------------------------------------------------------------------

    async def _drive(self) -> None:
        """Clients and faults, then clients alone."""
        self._phase = "running"
        begin_s = self._recorder.now_s()
        end_s = begin_s + self._settings.time_s
        calm_s = min(CALM_MAX_S, self._settings.time_s * CALM_PART)
        clients: list[MemberClient] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                for process in range(self._settings.clients):
                    loop = self._session_loop(process, clients)
                    tasks.create_task(loop.run(lambda: self._recorder.now_s() >= end_s))
                breaking = tasks.create_task(self._faults.run())
                await asyncio.sleep(self._settings.time_s - calm_s)
                self._faults.stop()
                await breaking
                self._phase = "calm"
        finally:
            for client in clients:
                await client.close()

    async def _witness(self) -> None:
        """Clients of its own: those of the sessions come and go."""
        clients = self._make_clients()
        try:
            await witness(WITNESS_PROCESS, clients, self._recorder)
        finally:
            for client in clients.values():
                await client.close()

    async def _recover(self, watching: asyncio.Task[None]) -> None:
        """All members come to the same state, and to the same once more after a restart."""
        began_s = self._recorder.now_s()
        try:
            self._phase = "healing"
            await self._cluster.start(seconds=RECOVERY_S)
            await self._cluster.agree(seconds=RECOVERY_S)
            self._phase = "final reads"
            async with asyncio.timeout(RECOVERY_S):
                for request in self._workload.final():
                    await self._ask_until_answered(request)
            revision = await self._hash()
            await asyncio.wait({watching}, timeout=WITNESS_LAST_S)
            watching.cancel()
            self._phase = "restart of all"
            await self._cluster.kill()
            await self._cluster.start(seconds=RECOVERY_S)
            await self._hash(revision)
        except (TimedOut, TimeoutError, grpc.aio.AioRpcError) as e:
            words = f"while in {self._phase}: {e or 'no answer in time'}"
            self._recorder.fault(Fault(STUCK, began_s, self._recorder.now_s(), words))

    async def _hash(self, revision: int = 0) -> int:
        """Record every member's hash at ``revision``, or at the newest; the revision."""
        self._phase = "hashes"
        newest = await self._cluster.agree(seconds=RECOVERY_S)
        for state in await self._cluster.states(revision or newest):
            self._recorder.state(state)
        return revision or newest

    async def _ask_until_answered(self, request: Request) -> None:
        place = 0
        while True:
            member = self._cluster.names[place % len(self._cluster.names)]
            client = self._cluster.clients[member]
            operation = await self._recorder.ask(FINAL_PROCESS, member, client, request)
            if not isinstance(operation.outcome, Unknown | Refused):
                return
            place += 1
            await asyncio.sleep(LOOK_EVERY_S)

    def _read_logs(self) -> None:
        """One fault for each member whose log shows an error of its own code."""
        now_s = self._recorder.now_s()
        for member in self._cluster.members.values():
            signs = BROKEN_CODE_SIGNS if member.has_excuse else BROKEN_LOG_SIGNS
            broken = member.log_lines_with(signs)
            if broken:
                words = f"{len(broken)} such lines in {member.place.log_path.name}: {broken[0]}"
                self._recorder.fault(Fault(BROKEN_LOG, now_s, now_s, words))

    # --- parts ----------------------------------------------------------------------------------

    def _session_loop(self, process: int, clients: list[MemberClient]) -> SessionLoop:
        """Half of the clients stay with one member. What is made is added to ``clients``."""
        mine = self._make_clients()
        clients.extend(mine.values())
        random = self._random(f"session {process}")
        return SessionLoop(
            process,
            self._workload.session(process, random),
            mine,
            self._recorder,
            is_pinned=process % 2 == 0,
            period_s=self._settings.clients / self._settings.rate,
            random=random,
        )

    def _make_clients(self) -> dict[str, MemberClient]:
        return {
            name: MemberClient(endpoint, self._settings.timeout_s)
            for name, endpoint in self._cluster.endpoints.items()
        }

    def _random(self, use: str) -> Random:
        return Random(f"{self._settings.seed} {use}")

    def _on_death(self, member: str, kind: str, words: str) -> None:
        now_s = self._recorder.now_s()
        self._recorder.fault(Fault(kind, now_s, now_s, words))

    async def _look_on(self) -> None:
        while True:
            under_way = self._faults.under_way
            now_s = self._recorder.now_s()
            self._look(Sight(self._phase, now_s, self._recorder.counts, under_way))
            await asyncio.sleep(LOOK_EVERY_S)
