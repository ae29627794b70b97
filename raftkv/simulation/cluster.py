"""A whole cluster in one process, under virtual time, from one seed.

Owns: the machines, what connects them, and questions about all of them. Must never do: reach into
a member to help it along.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from raftkv.server.config import Limits, ServerConfig
from raftkv.simulation.clock import Callback
from raftkv.simulation.machine import Machine, MemberProcess, RealStorage, Storage, VirtualStorage
from raftkv.simulation.network import VirtualNetwork
from raftkv.simulation.scheduler import VirtualScheduler

VIRTUAL_ROOT = Path("/machines")


class SimulatedCluster:
    """``size`` machines named m0, m1, ... Their files are virtual, or real ones under
    ``directory``. ``entered`` is told of each callback that ran on one of them."""

    def __init__(
        self,
        directory: Path | None = None,
        *,
        size: int = 3,
        seed: int = 0,
        snapshot_count: int = 10_000,
        limits: Limits | None = None,
        heartbeat_interval_ms: int = 100,
        election_timeout_ms: int = 1000,
        pre_vote: bool = True,
        quota_backend_bytes: int = 0,
    ) -> None:
        self.scheduler = VirtualScheduler()
        self.random = Random(f"{seed}/cluster")
        self.network = VirtualNetwork(self.scheduler, Random(f"{seed}/network"))
        self.entered: Callable[[Machine, Callback], None] = lambda machine, callback: None
        names = [f"m{i}" for i in range(size)]
        urls = {name: (f"http://{name}:2380",) for name in names}
        self.machines = [
            Machine(
                ServerConfig(
                    name=name,
                    data_dir=str((directory or VIRTUAL_ROOT) / name),
                    initial_advertise_peer_urls=urls[name],
                    initial_cluster=dict(urls),
                    snapshot_count=snapshot_count,
                    heartbeat_interval_ms=heartbeat_interval_ms,
                    election_timeout_ms=election_timeout_ms,
                    pre_vote=pre_vote,
                    quota_backend_bytes=quota_backend_bytes,
                    limits=limits or Limits(),
                ),
                _storage(directory, Random(f"{seed}/disk/{name}")),
                self.network,
                Random(f"{seed}/machine/{name}"),
                lambda machine, callback: self.entered(machine, callback),
            )
            for name in names
        ]

    def start_all(self) -> None:
        for machine in self.machines:
            if machine.process is None:
                assert machine.start(), f"{machine.name}: {machine.failure}"

    def stop_all(self) -> None:
        for machine in self.machines:
            if machine.process is not None:
                machine.kill()

    @property
    def running(self) -> list[MemberProcess]:
        return [m.process for m in self.machines if m.process is not None]

    def leader(self) -> Machine | None:
        """The machine whose member leads at the highest term, if one does."""
        best: tuple[int, Machine] | None = None
        for machine in self.machines:
            if machine.process is not None:
                node = machine.process.member.node
                if node.is_leader and (best is None or node.term > best[0]):
                    best = (node.term, machine)
        return None if best is None else best[1]

    def wait_for_leader(self, within_s: float = 20.0) -> Machine:
        found = self.scheduler.run_until(lambda: self.leader() is not None, within_s=within_s)
        assert found, f"no leader within {within_s} virtual seconds"
        leader = self.leader()
        assert leader is not None, "just found"
        return leader

    def settled(self) -> bool:
        """Whether every running member has applied all that the leader has in its log."""
        leader = self.leader()
        if leader is None:
            return False
        last = leader.running.member.node.status().last_index
        return all(p.member.applied_index == last for p in self.running)

    def settle(self, within_s: float = 20.0) -> None:
        assert self.scheduler.run_until(self.settled, within_s=within_s), [
            p.member.status() for p in self.running
        ]


def _storage(directory: Path | None, random: Random) -> Storage:
    return VirtualStorage(random) if directory is None else RealStorage()
