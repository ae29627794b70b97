"""Messages between simulated members: delayed, cut, dropped, duplicated, reordered from one seed.

Owns: VirtualNetwork and the per-member VirtualTransport. Must never do: look into a message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from raftkv.raft.message import Message
from raftkv.simulation.scheduler import VirtualScheduler


@dataclass(slots=True)
class Weather:
    """How bad the network is. Rates are of messages, latencies in seconds."""

    latency_min_s: float = 0.0002
    latency_max_s: float = 0.002
    loss: float = 0.0
    duplication: float = 0.0


class Host(Protocol):
    """A member as the network sees it."""

    def receive(self, messages: Sequence[Message]) -> None: ...

    def unreachable(self, peer: int) -> None: ...

    def receive_snapshot(self, message: Message, content: bytes) -> None: ...


class VirtualNetwork:
    """``cut`` holds the directed links that carry nothing."""

    def __init__(self, scheduler: VirtualScheduler, random: Random) -> None:
        self.scheduler = scheduler
        self.random = random
        self.weather = Weather()
        self.cut: set[tuple[int, int]] = set()
        self.hosts: dict[int, Host] = {}

    def carry(self, sender: int, message: Message, arrive: Callable[[Host], None]) -> bool:
        """Deliver, sooner or later or never; False when the link is known to be down."""
        target = message.to
        if (sender, target) in self.cut or target not in self.hosts:
            return False
        copies = 2 if self.random.random() < self.weather.duplication else 1
        for _ in range(copies):
            if self.random.random() < self.weather.loss:
                continue
            delay = self.random.uniform(self.weather.latency_min_s, self.weather.latency_max_s)

            def deliver() -> None:
                host = self.hosts.get(target)
                if host is not None and (sender, target) not in self.cut:
                    arrive(host)

            self.scheduler.call_later(delay, deliver)
        return True

    def isolate(self, member: int) -> None:
        for other in self.hosts:
            if other != member:
                self.cut |= {(member, other), (other, member)}

    def heal(self) -> None:
        self.cut.clear()


class VirtualTransport:
    """What a member sends through. Snapshots travel as one message with their file's bytes."""

    def __init__(self, network: VirtualNetwork, member: int) -> None:
        self._network = network
        self._member = member

    def set_peers(self, urls_of: Mapping[int, Sequence[str]]) -> None:
        """The virtual network finds members by id."""

    def send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._carry(message)

    def send_snapshot(
        self, message: Message, path: str, done: Callable[[BaseException | None], None]
    ) -> None:
        content = Path(path).read_bytes()
        sent = self._network.carry(
            self._member, message, lambda host: host.receive_snapshot(message, content)
        )
        error = None if sent else ConnectionError(f"no link to {message.to:x}")
        self._network.scheduler.call_soon(lambda: done(error))

    def _carry(self, message: Message) -> None:
        if not self._network.carry(self._member, message, lambda host: host.receive([message])):
            host = self._network.hosts.get(self._member)
            if host is not None:
                self._network.scheduler.call_soon(lambda: host.unreachable(message.to))
