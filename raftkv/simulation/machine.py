"""One machine: a disk that outlives its processes, and at most one member process on it.

Owns: starting a member out of the production server code with a virtual clock, workers, disk and
network, and every way to end it: killed, out of power, given up by itself. Must never do: reach
into a member to help it along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from raftkv.backend.environment import LmdbBackend
from raftkv.errors import ConfigError, Corrupt, RaftKVError
from raftkv.peer.offer import Offer
from raftkv.raft.message import Message
from raftkv.server.authority import AuthSettings
from raftkv.server.config import ServerConfig
from raftkv.server.foundation import Foundation, OpenBackend, holds_data, open_foundation
from raftkv.server.introduction import Answers, Joining, judge_existing, judge_forced, judge_new
from raftkv.server.member import Member
from raftkv.simulation.clock import Callback, ProcessClock
from raftkv.simulation.database import memory_backend
from raftkv.simulation.disk import Crash, SimulatedDisk
from raftkv.simulation.network import Told, VirtualNetwork, VirtualTransport
from raftkv.simulation.worker import VirtualWorker
from raftkv.wal.disk import Disk, OsDisk

DISK_LATENCY_S = (0.0001, 0.001)
CALLS_UNTIL_CRASH_MAX = 6
"""A crash in the midst of a job comes at one of its first so many calls of the disk."""


@dataclass(slots=True)
class VirtualWorkers:
    wal: VirtualWorker
    backend: VirtualWorker
    snapshot: VirtualWorker
    passwords: list[VirtualWorker]


class Storage(Protocol):
    """Where a machine keeps its files, and what a crash does to them."""

    @property
    def disk(self) -> Disk: ...

    def open_backend(self) -> OpenBackend: ...

    def crash(self, unfinished: list[Callable[[], None]], *, power: bool) -> None:
        """The process is gone, maybe amid one of its ``unfinished`` jobs, maybe for want of
        power."""


class RealStorage:
    """Real files and LMDB. A crash loses what the process holds, no more: this is kill -9."""

    def __init__(self) -> None:
        self.disk = OsDisk()

    def open_backend(self) -> OpenBackend:
        return LmdbBackend

    def crash(self, unfinished: list[Callable[[], None]], *, power: bool) -> None:
        assert not power, "the power of a real disk cannot be cut from here"


class VirtualStorage:
    def __init__(self, random: Random) -> None:
        self._random = random
        self.disk = SimulatedDisk(random)

    def open_backend(self) -> OpenBackend:
        return lambda path: memory_backend(self.disk, path)

    def crash(self, unfinished: list[Callable[[], None]], *, power: bool) -> None:
        for job in unfinished:
            if self._random.random() < 0.5:
                self._begin(job)
        if power:
            self.disk.power_cut(self._random)
        else:
            self.disk.process_died()

    def replace_disk(self) -> None:
        self.disk = SimulatedDisk(self._random)

    def _begin(self, job: Callable[[], None]) -> None:
        """Some of the job's system calls were made when the end came."""
        self.disk.dies_in = self._random.randrange(CALLS_UNTIL_CRASH_MAX)
        try:
            job()
        except (Crash, Exception):  # noqa: BLE001 - the process that would be told is dead
            return
        finally:
            self.disk.dies_in = None


class MemberProcess:
    """One life of a member, from start to its end."""

    def __init__(
        self,
        config: ServerConfig,
        storage: Storage,
        network: VirtualNetwork,
        *,
        random: Random,
        latency_s: Callable[[], float],
        entered: Callable[[Callback], None],
        fatal: Callable[[BaseException], None],
        clock_rate: float,
        joining: Joining | None,
    ) -> None:
        self.clock = ProcessClock(network.scheduler, entered, rate=clock_rate)
        self.foundation: Foundation = open_foundation(
            config, storage.disk, storage.open_backend(), joining
        )
        wal, backend, snapshot, password = (VirtualWorker(self.clock, latency_s) for _ in range(4))
        self.workers = VirtualWorkers(wal, backend, snapshot, [password])
        self.member = Member(
            config,
            self.foundation,
            scheduler=self.clock,
            workers=self.workers,
            transport=VirtualTransport(network, self.foundation.member_id, storage.disk.read),
            random=random,
            fatal=fatal,
            auth=AuthSettings(token_ttl_s=config.auth_token_ttl_s, bcrypt_cost=config.bcrypt_cost),
        )

    # --- the network's Host ---------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        self.clock.enter(lambda: self.member.receive([message]))

    def unreachable(self, peer: int) -> None:
        self.clock.enter(lambda: self.member.unreachable(peer))

    def has_removed(self, peer: int) -> bool:
        return self.member.has_removed(peer)

    def told_removed(self) -> None:
        self.clock.enter(self.member.told_removed)

    def offer(self) -> Offer | None:
        return None if self.clock.paused else self.member.introduce().offer

    def promote(self, learner: int, done: Told) -> None:
        def ask() -> None:
            try:
                self.member.promote_member(learner, done, forward=False)
            except RaftKVError as e:
                done(e)

        self.clock.enter(ask)

    def receive_snapshot(self, message: Message, content: bytes) -> None:
        self.clock.enter(lambda: self._take_snapshot(message, content))

    def _take_snapshot(self, message: Message, content: bytes) -> None:
        assert message.snapshot is not None, message.type
        file = self.foundation.open_snapshot()
        try:
            file.write(content)
            file.commit(message.snapshot.meta.index)
        except (OSError, Corrupt):
            return  # as the peer listener does: the stream ends, the leader tries again
        self.member.receive([message])

    # --- its end --------------------------------------------------------------------------------

    def end(self) -> list[Callable[[], None]]:
        """Nothing of it runs any more. Returns the jobs that it was about to do."""
        workers = (self.workers.wal, self.workers.backend, self.workers.snapshot)
        unfinished = [w.unfinished for w in workers if w.unfinished is not None]
        self.clock.end()
        self.member.abandon()
        return unfinished


class Machine:
    """Named as its member. ``process`` is None while nothing runs; ``failure`` is what the last
    process gave up for, or could not start for."""

    def __init__(
        self,
        config: ServerConfig,
        storage: Storage,
        network: VirtualNetwork,
        random: Random,
        entered: Callable[[Machine, Callback], None],
        ask: Callable[[Machine], Answers],
    ) -> None:
        self.config = config
        self.storage = storage
        self.process: MemberProcess | None = None
        self.failure: BaseException | None = None
        self.disk_latency_s = DISK_LATENCY_S
        self.clock_rate = 1.0
        self.member_id = 0
        self._network = network
        self._random = random
        self._entered = entered
        self._ask = ask
        self._wiped = False

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def running(self) -> MemberProcess:
        assert self.process is not None, f"{self.name} does not run"
        return self.process

    def start(self) -> bool:
        """False when the member finds its data unfit and refuses: ``failure`` says why."""
        assert self.process is None, f"{self.name} runs already"
        self.failure = None
        try:
            process = MemberProcess(
                self.config,
                self.storage,
                self._network,
                random=Random(self._random.getrandbits(32)),
                latency_s=lambda: self._random.uniform(*self.disk_latency_s),
                entered=lambda callback: self._entered(self, callback),
                fatal=self._give_up,
                clock_rate=self.clock_rate,
                joining=self._introduce(),
            )
        except (ConfigError, Corrupt, OSError) as error:
            self.failure = error
            self.storage.crash([], power=False)
            return False
        self.process = process
        self.member_id = process.foundation.member_id
        self._network.hosts[self.member_id] = process
        process.member.start()
        return True

    @property
    def is_blank(self) -> bool:
        """No member has ever begun on it: its process waits for the others' to begin."""
        return not self._wiped and not holds_data(self.config, self.storage.disk)

    def wipe(self) -> None:
        """The disk is lost, and an empty one in its place."""
        assert self.process is None, f"{self.name} runs"
        assert isinstance(self.storage, VirtualStorage), "real disks are not wiped from here"
        self.storage.replace_disk()
        self._wiped = True

    def _introduce(self) -> Joining | None:
        """What a process does before it has data. Raises ConfigError; one that would wait for
        others is not started either, and can be started again."""
        if holds_data(self.config, self.storage.disk):
            if self.config.force_new_cluster:
                answers = self._ask(self)
                leaders = {view.leader for view in answers.values() if view is not None}
                judge_forced(answers, leaders - {0, self.member_id})
            return None
        answers = self._ask(self)
        if self.config.initial_cluster_state == "existing":
            return judge_existing(self.config, answers)
        reason = judge_new(self.config, answers)
        if reason:
            raise ConfigError(reason)
        return None

    def kill(self, *, power: bool = False) -> None:
        """As kill -9 would, or as pulling the plug: nothing is committed or flushed any more."""
        process = self.running
        self.process = None
        self._network.hosts.pop(self.member_id, None)
        unfinished = process.end()
        if isinstance(self.storage, RealStorage):
            process.foundation.abandon()
        self.storage.crash(unfinished, power=power)

    def stop(self, then: Callable[[], None]) -> None:
        """As SIGTERM would: the member commits and closes its files, and calls ``then``."""
        process = self.running

        def stopped() -> None:
            self.process = None
            self._network.hosts.pop(self.member_id, None)
            process.clock.end()
            then()

        process.member.stop(stopped)

    def pause(self) -> None:
        self.running.clock.pause()

    def resume(self) -> None:
        self.running.clock.resume()

    def drift(self, rate: float) -> None:
        self.clock_rate = rate
        if self.process is not None:
            self.process.clock.drift(rate)

    def _give_up(self, error: BaseException) -> None:
        """The member said that it cannot go on: its process ends."""
        self.failure = error
        self.kill()
