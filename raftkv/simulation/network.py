"""Messages between simulated members: delayed, cut, dropped, duplicated, reordered from one seed.

Owns: VirtualNetwork and the per-member VirtualTransport. Must never do: change a message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Protocol, TypeVar

from raftkv.errors import NoLeader, RaftKVError
from raftkv.peer.finding import Finding
from raftkv.peer.offer import Offer
from raftkv.raft.message import Message
from raftkv.simulation.scheduler import VirtualScheduler

T = TypeVar("T")
SNAPSHOT_DONE_S = 0.005
"""When the sender of a snapshot learns how it went, at the latest."""


@dataclass(slots=True)
class Weather:
    """How bad the network is. Rates are of messages, latencies in seconds. Every message draws
    its own latency, so a wide range reorders."""

    latency_min_s: float = 0.0002
    latency_max_s: float = 0.002
    loss: float = 0.0
    duplication: float = 0.0


Told = Callable[[RaftKVError | None], None]


class Host(Protocol):
    """A member as the network sees it."""

    def receive(self, message: Message) -> None: ...

    def unreachable(self, peer: int) -> None: ...

    def has_removed(self, peer: int) -> bool: ...

    def told_removed(self) -> None: ...

    def promote(self, learner: int, done: Told) -> None: ...

    def offer(self) -> Offer | None:
        """None while the process stands still."""

    def receive_snapshot(self, message: Message, content: bytes) -> None: ...


class VirtualNetwork:
    """``cut`` holds the directed links that carry nothing; ``seen`` is shown every message that
    leaves a member."""

    def __init__(self, scheduler: VirtualScheduler, random: Random) -> None:
        self.scheduler = scheduler
        self.random = random
        self.weather = Weather()
        self.cut: set[tuple[int, int]] = set()
        self.hosts: dict[int, Host] = {}
        self.seen: Callable[[Message], None] = lambda message: None
        self.answer_at: Callable[[str], Finding] = lambda url: Finding()
        """What a question to a peer URL finds; the cluster knows who listens where."""
        self.carried = 0
        self.lost = 0

    def carry(self, sender: int, message: Message, arrive: Callable[[Host], None]) -> bool:
        """Deliver, sooner or later or never; False when the link is known to be down."""
        self.seen(message)
        target = message.to
        if (sender, target) in self.cut or target not in self.hosts:
            return False
        copies = 2 if self.random.random() < self.weather.duplication else 1
        for _ in range(copies):
            if self.random.random() < self.weather.loss:
                self.lost += 1
                continue
            delay = self.random.uniform(self.weather.latency_min_s, self.weather.latency_max_s)
            self.scheduler.call_later(delay, partial(self._deliver, sender, target, arrive))
        return True

    def isolate(self, member: int) -> None:
        for other in self.hosts:
            if other != member:
                self.cut |= {(member, other), (other, member)}

    def heal(self) -> None:
        self.cut.clear()
        self.weather = Weather()

    def _deliver(self, sender: int, target: int, arrive: Callable[[Host], None]) -> None:
        host = self.hosts.get(target)
        if host is None or (sender, target) in self.cut:
            self.lost += 1
        elif host.has_removed(sender):
            self.lost += 1
            self._refuse(sender, target)
        else:
            self.carried += 1
            arrive(host)

    def _refuse(self, removed: int, by: int) -> None:
        """As the peer port does: who was removed is told so, and not heard."""
        host = self.hosts.get(removed)
        if host is not None and (by, removed) not in self.cut:
            self.scheduler.call_soon(host.told_removed)


class VirtualTransport:
    """What a member sends through. Snapshots travel as one message with their file's bytes."""

    def __init__(
        self, network: VirtualNetwork, member: int, read_file: Callable[[str], bytes]
    ) -> None:
        self._network = network
        self._member = member
        self._read_file = read_file

    def set_peers(self, urls_of: Mapping[int, Sequence[str]]) -> None:
        """The virtual network finds members by id."""

    def connected_for(self, peer: int) -> float | None:
        """A link that is up has been up for ever."""
        network = self._network
        cut = {(self._member, peer), (peer, self._member)} & network.cut
        return None if cut or peer not in network.hosts else float("inf")

    def probe(self, urls: Sequence[str], done: Callable[[Sequence[Finding]], None]) -> None:
        """Everybody's answer is there in an instant, or never."""
        answers = [self._network.answer_at(url) for url in urls]
        self._network.scheduler.call_soon(partial(self._answered, done, answers))

    def _answered(
        self, done: Callable[[Sequence[Finding]], None], answers: Sequence[Finding]
    ) -> None:
        if self._member in self._network.hosts:
            done(answers)

    def ask_promotion(self, leader: int, learner: int, done: Told) -> None:
        host = self._network.hosts.get(leader)
        if host is None or self.connected_for(leader) is None:
            self._network.scheduler.call_soon(partial(done, NoLeader("the leader is away")))
        else:
            self._network.scheduler.call_soon(partial(host.promote, learner, done))

    def ask_offer(self, peer: int, done: Callable[[Offer | None], None]) -> None:
        host = None if self.connected_for(peer) is None else self._network.hosts.get(peer)
        answer = None if host is None else host.offer()
        self._network.scheduler.call_soon(lambda: self._told(done, answer))

    def send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if not self._network.carry(self._member, message, partial(_receive, message)):
                self._report_unreachable(message.to)

    def send_snapshot(
        self, message: Message, path: str, done: Callable[[BaseException | None], None]
    ) -> None:
        content = self._read_file(path)
        sent = self._network.carry(
            self._member, message, lambda host: host.receive_snapshot(message, content)
        )
        error = None if sent else ConnectionError(f"no link to {message.to:x}")
        delay = self._network.random.uniform(0, SNAPSHOT_DONE_S)
        self._network.scheduler.call_later(delay, partial(self._told, done, error))

    def _told(self, done: Callable[[T], None], outcome: T) -> None:
        if self._member in self._network.hosts:
            done(outcome)

    def _report_unreachable(self, peer: int) -> None:
        host = self._network.hosts.get(self._member)
        if host is not None:
            self._network.scheduler.call_soon(lambda: host.unreachable(peer))


def _receive(message: Message, host: Host) -> None:
    host.receive(message)
