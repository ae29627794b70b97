"""The second generator of unary calls: clients whose next request depends on their last answer.

Owns: a closed loop of clients over bare HTTP/2 connections, in one process: each sends, waits for
its answer, and sends again. Must never do: count a call whose grpc-status is not 0.

What a client says is a ``Script``'s; this file only keeps all of them busy.
"""

from __future__ import annotations

import selectors
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from benchmarks.http2_client import Http2Client
from benchmarks.load import CONNECTIONS_MAX, Load, Stopwatch
from benchmarks.measurement import NotProven

PUT = "/etcdserverpb.KV/Put"
RANGE = "/etcdserverpb.KV/Range"
TXN = "/etcdserverpb.KV/Txn"
KEY_DIGITS = 12
STALL_SECONDS_MAX = 60.0
_PREFIX_BYTES = 5


class Call(NamedTuple):
    """One request; latencies are kept apart by ``kind``."""

    path: str
    message: bytes
    kind: str = ""


class Script(Protocol):
    """What one client says: one call at a time."""

    def request(self) -> Call | None:
        """The next call, or None when the client has no more to say."""

    def answered(self, message: bytes) -> None:
        """The answer to the last call; raises NotProven when it is not as it must be."""


class Source(Protocol):
    """Something else that is read meanwhile, such as watches."""

    @property
    def http(self) -> Http2Client: ...


class _Connection:
    """One connection and the clients that share it, each with at most one call in flight."""

    def __init__(self, loop: ClosedLoop, endpoint: str, scripts: Sequence[Script]) -> None:
        self._loop = loop
        self._ready = list(scripts)
        self._calls: dict[int, tuple[Script, str, float]] = {}
        self._bodies: dict[int, bytes] = {}
        self.http = Http2Client(endpoint, on_end=self._ended, on_data=self._data)

    def fill(self) -> None:
        """Start the next call of each client that has its answer, with one write for all."""
        gathered = []
        for script in self._ready:
            call = script.request()
            if call is None:
                continue
            stream, data = self.http.call(call.path, call.message)
            self._calls[stream] = (script, call.kind, time.perf_counter())
            gathered.append(data)
        self._ready.clear()
        if gathered:
            self._loop.in_flight += len(gathered)
            self.http.socket.sendall(b"".join(gathered))

    def _data(self, stream: int, payload: bytes) -> None:
        earlier = self._bodies.get(stream)
        self._bodies[stream] = earlier + payload if earlier else payload

    def _ended(self, stream: int) -> None:
        script, kind, began = self._calls.pop(stream)
        self._loop.in_flight -= 1
        self._loop.latencies_of(kind).append(time.perf_counter() - began)
        script.answered(self._bodies.pop(stream)[_PREFIX_BYTES:])
        self._ready.append(script)


@dataclass(frozen=True, slots=True)
class LoopResult:
    """All calls together, and by kind."""

    load: Load
    kinds: Mapping[str, Sequence[float]]
    """Latencies in milliseconds."""


class ClosedLoop:
    """``scripts`` are the clients; ``sources`` are read in the same loop while it runs."""

    def __init__(
        self, endpoint: str, scripts: Sequence[Script], *, sources: Sequence[Source] = ()
    ) -> None:
        self.in_flight = 0
        self._latencies: dict[str, array[float]] = {}
        self._selector = selectors.EpollSelector()
        self._sources = sources
        count = min(len(scripts), CONNECTIONS_MAX)
        self._connections = [
            _Connection(self, endpoint, scripts[number::count]) for number in range(count)
        ]

    def latencies_of(self, kind: str) -> array[float]:
        found = self._latencies.get(kind)
        if found is None:
            found = self._latencies[kind] = array("d")
        return found

    def run(self, seconds: float) -> LoopResult:
        """Every client calls at least once, and none again after ``seconds``; all are answered."""
        for connection in self._connections:
            self._selector.register(connection.http.socket, selectors.EVENT_READ, connection)
        for source in self._sources:
            self._selector.register(source.http.socket, selectors.EVENT_READ, source)
        watch = Stopwatch()
        for connection in self._connections:
            connection.fill()
        while self.in_flight:
            self._turn(more=watch.seconds < seconds)
        elapsed, used = watch.seconds, watch.cpu_seconds
        self._selector.close()
        for connection in self._connections:
            connection.http.close()
        kinds = {
            kind: [latency * 1000 for latency in latencies]
            for kind, latencies in self._latencies.items()
        }
        every = [latency for latencies in kinds.values() for latency in latencies]
        return LoopResult(Load(len(every), elapsed, every, cpu_seconds=used), kinds)

    def _turn(self, *, more: bool) -> None:
        ready = self._selector.select(STALL_SECONDS_MAX)
        if not ready:
            raise NotProven(f"{self.in_flight} calls without an answer for {STALL_SECONDS_MAX:g} s")
        for key, _ in ready:
            key.data.http.receive()
            if more and isinstance(key.data, _Connection):
                key.data.fill()
