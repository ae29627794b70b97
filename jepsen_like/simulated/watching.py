"""One watch on one simulated member, through the production's watch stream.

Owns: the stream's two ends: responses travel in order, and a slow reader takes its time, which the
member notices as a backlog. Must never do: resume; a client that goes on opens a new watch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from google.protobuf.message import Message

from jepsen_like.client.codec import progress_request, watch_request, watch_response
from jepsen_like.history.operation import Watch
from jepsen_like.workloads.session import OpenWatch
from raftkv.api.rpc_pb2 import WatchResponse
from raftkv.rpc.watch import take_request
from raftkv.rpc.watch_stream import WatchStream
from raftkv.simulation.machine import Machine, MemberProcess
from raftkv.simulation.scheduler import VirtualScheduler

LATENCY_S = (0.0001, 0.001)
SLOW_S = (0.02, 0.3)
SLOW = 0.2
"""How probable it is that a client reads slowly."""
PROGRESS_S = 0.3


class _Outlet:
    """``watch_stream.Outlet``: responses arrive one after another."""

    peer = "simulated"

    def __init__(
        self,
        world: VirtualScheduler,
        process: MemberProcess,
        delay_s: Callable[[], float],
        arrive: Callable[[bytes], None],
    ) -> None:
        self._world = world
        self._process = process
        self._delay_s = delay_s
        self._arrive = arrive
        self._free_at = 0.0
        self._proceed: Callable[[], None] | None = None
        self.backlog = 0

    def send(self, message: bytes) -> None:
        self.backlog += len(message)
        self._free_at = max(self._free_at, self._world.now()) + self._delay_s()
        delay = self._free_at - self._world.now()
        self._world.call_later(delay, partial(self._deliver, message))

    def send_each(self, head: bytes, middles: Sequence[bytes], tail: bytes) -> None:
        for middle in middles:
            self.send(head + middle + tail)

    def when_drained(self, proceed: Callable[[], None]) -> None:
        self._proceed = proceed

    def _deliver(self, message: bytes) -> None:
        self.backlog -= len(message)
        self._arrive(message)
        if self._proceed is not None and not self.backlog:
            proceed, self._proceed = self._proceed, None
            self._process.clock.enter(proceed)


class WatchClient:
    """``watch`` is the record of it, complete once ``closed`` was called."""

    def __init__(
        self,
        world: VirtualScheduler,
        machine: Machine,
        process: int,
        step: OpenWatch,
        random: Random,
    ) -> None:
        self._world = world
        self._machine = machine
        self._step = step
        self._random = random
        self._events = 0
        self._slow = random.random() < SLOW
        self._stream: WatchStream | None = None
        self._member: MemberProcess | None = None
        self._closed: Callable[[], None] | None = None
        self.watch = Watch(
            process,
            machine.name,
            step.key,
            step.end,
            step.start_revision,
            step.prev_kv,
            opened_s=world.now(),
        )

    def start(self, closed: Callable[[], None]) -> None:
        self._closed = closed
        self._world.call_later(self._delay_s(), self._connect)
        self._world.call_later(self._step.for_s, self._close)
        if self._step.progress:
            self._world.call_later(PROGRESS_S, self._ask_progress)

    def _delay_s(self) -> float:
        return self._random.uniform(*(SLOW_S if self._slow else LATENCY_S))

    def _connect(self) -> None:
        if self._machine.process is None:
            self._close()
            return
        self._member = process = self._machine.process
        process.clock.enter(partial(self._open, process))

    def _open(self, process: MemberProcess) -> None:
        if self._closed is None:
            return
        outlet = _Outlet(self._world, process, self._delay_s, self._receive)
        self._stream = WatchStream(process.member, outlet)
        step = self._step
        self._send(watch_request(step.key, step.end, step.start_revision, prev_kv=step.prev_kv))

    def _send(self, message: Message) -> None:
        if self._stream is not None and self._closed is not None:
            take_request(self._stream, message.SerializeToString(), _may_read_all)

    def _ask_progress(self) -> None:
        if self._closed is not None:
            if self._member is not None:
                self._member.clock.enter(lambda: self._send(progress_request()))
            self._world.call_later(PROGRESS_S, self._ask_progress)

    def _receive(self, message: bytes) -> None:
        if self._closed is None:
            return
        response = watch_response(WatchResponse.FromString(message), self._world.now())
        self.watch.responses.append(response)
        self._events += len(response.events)
        if response.canceled or self._events >= self._step.events_max:
            self._close()

    def _close(self) -> None:
        if self._closed is None:
            return
        closed, self._closed = self._closed, None
        self.watch.closed_s = self._world.now()
        if self._member is not None:
            self._member.clock.enter(self._close_stream)
        closed()

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()


def _may_read_all(key: bytes, range_end: bytes) -> None:
    """These clusters have no users."""
