"""A whole cluster in one process, under virtual time, from one seed.

Owns: making members out of the production server code with virtual scheduler, workers and
network; killing and restarting them. Must never do: reach into a member to help it along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from raftkv.backend.environment import LmdbBackend
from raftkv.raft.message import Message, Role
from raftkv.server.config import Limits, ServerConfig
from raftkv.server.foundation import Foundation, open_foundation
from raftkv.server.member import Member
from raftkv.simulation.network import VirtualNetwork, VirtualTransport
from raftkv.simulation.scheduler import VirtualScheduler, VirtualWorker
from raftkv.wal.disk import OsDisk


@dataclass(slots=True)
class SimulatedWorkers:
    wal: VirtualWorker
    backend: VirtualWorker
    snapshot: VirtualWorker

    def stop(self) -> None:
        for worker in (self.wal, self.backend, self.snapshot):
            worker.stopped = True


class SimulatedMember:
    """One member's life, from start to kill. ``failure`` is what it gave up for, if it did."""

    def __init__(self, config: ServerConfig, network: VirtualNetwork, seed: int) -> None:
        scheduler = network.scheduler
        random = Random(seed)
        self.foundation: Foundation = open_foundation(config, OsDisk(), LmdbBackend)
        self.workers = SimulatedWorkers(
            *(VirtualWorker(scheduler, lambda: random.uniform(0.0001, 0.001)) for _ in range(3))
        )
        self.failure: BaseException | None = None
        self.alive = True
        self.member = Member(
            config,
            self.foundation,
            scheduler=scheduler,
            workers=self.workers,
            transport=VirtualTransport(network, self.foundation.member_id),
            random=random,
            fatal=self._failed,
        )

    def receive(self, messages: Sequence[Message]) -> None:
        if self.alive:
            self.member.receive(messages)

    def unreachable(self, peer: int) -> None:
        if self.alive:
            self.member.unreachable(peer)

    def receive_snapshot(self, message: Message, content: bytes) -> None:
        if not self.alive:
            return
        assert message.snapshot is not None, message.type
        file = self.foundation.open_snapshot()
        file.write(content)
        file.commit(message.snapshot.meta.index)
        self.member.receive([message])

    def _failed(self, error: BaseException) -> None:
        self.failure = error
        self.alive = False


class SimulatedCluster:
    """``size`` members named m0, m1, ... with their data under ``directory``."""

    def __init__(
        self,
        directory: Path,
        *,
        size: int = 3,
        seed: int = 0,
        snapshot_count: int = 10_000,
        limits: Limits | None = None,
    ) -> None:
        self.scheduler = VirtualScheduler()
        self.random = Random(seed)
        self.network = VirtualNetwork(self.scheduler, self.random)
        self.members: list[SimulatedMember | None] = [None] * size
        urls = {f"m{i}": (f"http://127.0.0.1:{1 + i}",) for i in range(size)}
        self._configs = [
            ServerConfig(
                name=name,
                data_dir=str(directory / name),
                initial_advertise_peer_urls=urls[name],
                initial_cluster=dict(urls),
                snapshot_count=snapshot_count,
                limits=limits or Limits(),
            )
            for name in urls
        ]

    def start(self, index: int) -> SimulatedMember:
        assert self.members[index] is None, f"m{index} runs already"
        started = SimulatedMember(self._configs[index], self.network, self.random.getrandbits(32))
        self.members[index] = started
        self.network.hosts[started.foundation.member_id] = started
        started.member.start()
        return started

    def start_all(self) -> None:
        for index, member in enumerate(self.members):
            if member is None:
                self.start(index)

    def kill(self, index: int) -> None:
        """As kill -9 would: nothing is committed or flushed by the member any more."""
        killed = self.members[index]
        assert killed is not None, f"m{index} does not run"
        killed.alive = False
        killed.workers.stop()
        killed.member.abandon()
        killed.foundation.abandon()
        self.network.hosts.pop(killed.foundation.member_id, None)
        self.members[index] = None

    def stop_all(self) -> None:
        for index, member in enumerate(self.members):
            if member is not None:
                self.kill(index)

    @property
    def running(self) -> list[SimulatedMember]:
        return [m for m in self.members if m is not None and m.alive]

    def leader(self) -> int | None:
        """The index of the member that leads at the highest term, if one does."""
        best: tuple[int, int] | None = None
        for index, member in enumerate(self.members):
            if member is not None and member.alive:
                status = member.member.node.status()
                if status.role is Role.LEADER and (best is None or status.term > best[0]):
                    best = (status.term, index)
        return None if best is None else best[1]

    def wait_for_leader(self, within_s: float = 20.0) -> int:
        found = self.scheduler.run_until(lambda: self.leader() is not None, within_s=within_s)
        assert found, f"no leader within {within_s} virtual seconds"
        leader = self.leader()
        assert leader is not None, "just found"
        return leader

    def settle(self, within_s: float = 20.0) -> None:
        """Run until every running member has applied all that the leader has in its log."""

        def settled() -> bool:
            leader = self.leader()
            if leader is None:
                return False
            leading = self.members[leader]
            assert leading is not None, leader
            last = leading.member.node.status().last_index
            return all(m.member.status().applied_index == last for m in self.running)

        assert self.scheduler.run_until(settled, within_s=within_s), [
            m.member.status() for m in self.running
        ]
