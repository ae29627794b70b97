"""A whole cluster in one process, under virtual time, from one seed.

Owns: the machines, what connects them, and questions about all of them. Must never do: reach into
a member to help it along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from raftkv.auth.passwords import COST_MIN
from raftkv.peer.finding import Finding
from raftkv.server.config import Limits, ServerConfig
from raftkv.server.introduction import Answers, ClusterView
from raftkv.server.operations import Operations
from raftkv.server.status import MemberInfo
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
        operations: Operations | None = None,
    ) -> None:
        self.scheduler = VirtualScheduler()
        self.random = Random(f"{seed}/cluster")
        self.network = VirtualNetwork(self.scheduler, Random(f"{seed}/network"))
        self.network.answer_at = self._answer_at
        self.strangers: dict[str, Finding] = {}
        """What is not of this cluster and answers at a peer URL."""
        self.entered: Callable[[Machine, Callback], None] = lambda machine, callback: None
        self._directory, self._seed = directory, seed
        names = [f"m{i}" for i in range(size)]
        self._config = ServerConfig(
            initial_cluster={name: _urls(name) for name in names},
            snapshot_count=snapshot_count,
            heartbeat_interval_ms=heartbeat_interval_ms,
            election_timeout_ms=election_timeout_ms,
            pre_vote=pre_vote,
            quota_backend_bytes=quota_backend_bytes,
            operations=operations or Operations(),
            bcrypt_cost=COST_MIN,
            limits=limits or Limits(),
        )
        self.machines = [self._machine(name) for name in names]

    def reconfigure(self, **settings: Any) -> None:
        """Other settings for the members that are started from now on."""
        self._config = replace(self._config, **settings)
        for machine in self.machines:
            machine.config = replace(machine.config, **settings)

    # --- machines that come later ---------------------------------------------------------------

    def add_machine(self) -> Machine:
        """One more, with an empty disk. It can start once it was added as a member."""
        machine = self._machine(f"m{len(self.machines)}")
        self.machines.append(machine)
        return machine

    def let_join(self, machine: Machine, members: Sequence[MemberInfo]) -> bool:
        """Start a machine without data as a member that joins ``members``, as `member add` told
        them. False when it was refused."""
        name_of = {_urls(each.name): each.name for each in self.machines}
        machine.config = replace(
            machine.config,
            initial_cluster={name_of[row.peer_urls]: row.peer_urls for row in members},
            initial_cluster_state="existing",
        )
        return machine.name in machine.config.initial_cluster and machine.start()

    def _machine(self, name: str) -> Machine:
        return Machine(
            replace(
                self._config,
                name=name,
                data_dir=str((self._directory or VIRTUAL_ROOT) / name),
                initial_advertise_peer_urls=_urls(name),
            ),
            _storage(self._directory, Random(f"{self._seed}/disk/{name}")),
            self.network,
            Random(f"{self._seed}/machine/{name}"),
            lambda machine, callback: self.entered(machine, callback),
            self._answers,
        )

    def _answers(self, asking: Machine) -> Answers:
        """What the others say to a machine without data, as far as the network lets them."""
        others = [m for m in self.machines if m is not asking]
        return {
            other.name: self._answer(asking, other)
            for other in others
            if other.name in asking.config.initial_cluster
        }

    def _answer(self, asking: Machine, other: Machine) -> ClusterView | None:
        if other.is_blank:
            return ClusterView()  # its process asks just the same at this moment
        link = (asking.member_id, other.member_id)
        if {link, link[::-1]} & self.network.cut or other.process is None:
            return None
        return None if other.process.clock.paused else other.process.member.introduce()

    def answer_as(self, url: str, view: ClusterView) -> None:
        """A member, of this cluster or another, is found at ``url`` too."""
        self.strangers[url] = _finding(view)

    def _answer_at(self, url: str) -> Finding:
        if url in self.strangers:
            return self.strangers[url]
        for machine in self.machines:
            process = machine.process
            here = url in machine.config.initial_advertise_peer_urls
            if here and process is not None and not process.clock.paused:
                return _finding(process.member.introduce())
        return Finding()

    # --- all of them ----------------------------------------------------------------------------

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


def _finding(view: ClusterView) -> Finding:
    headers = {name.lower(): value for name, value in view.headers.items()}
    return Finding(200, view.encode(), headers)


def _urls(name: str) -> tuple[str, ...]:
    return (f"http://{name}:2380",)


def _storage(directory: Path | None, random: Random) -> Storage:
    return VirtualStorage(random) if directory is None else RealStorage()
