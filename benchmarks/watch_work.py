"""One event to a thousand watchers: deliveries a second, and how long a delivery takes.

Owns: the work of the group watch. Must never do: decode events on the clock; each stream's last
message is decoded afterwards to see that it is the last revision.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.http2_client import Http2Client
from benchmarks.measurement import Better, Measurement, Metric, NotProven, percentile
from benchmarks.unary_client import PUT
from raftkv.api import rpc_pb2 as pb
from tests.e2e.cluster import Cluster

WATCH = "/etcdserverpb.Watch/Watch"
KEY = b"fan/out"
STREAMS = 10
WAIT_SECONDS = 60.0


class _WatchStream:
    """A connection with one Watch stream; counts whole gRPC messages and keeps the last."""

    def __init__(self, endpoint: str, watchers: int, on_message: Callable[[], None]) -> None:
        self._on_message = on_message
        self._partial = b""
        self.last = b""
        self.http = Http2Client(endpoint, WATCH, on_end=self._ended, on_data=self._data)
        create = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=KEY)).SerializeToString()
        stream, first = self.http.call(create, half_close=False)
        more = self.http.message(stream, create) * (watchers - 1)
        self.http.socket.sendall(first + more)

    def _data(self, _: int, payload: bytes) -> None:
        data = self._partial + payload if self._partial else payload
        position, end = 0, len(data)
        while end - position >= 5:
            after = position + 5 + int.from_bytes(data[position + 1 : position + 5], "big")
            if after > end:
                break
            self.last = data[position + 5 : after]
            self._on_message()
            position = after
        self._partial = data[position:]

    def _ended(self, _: int) -> None:
        raise NotProven("a watch stream ended")


class _FanOut:
    """The watch streams and one connection that puts, on one selector."""

    def __init__(self, watched: str, written: str, watchers: int) -> None:
        self._selector = selectors.EpollSelector()
        self._messages = 0
        self.arrivals: list[float] = []
        self._acknowledged = 0
        self.streams = [
            _WatchStream(watched, watchers // STREAMS, self._message) for _ in range(STREAMS)
        ]
        self._writer = Http2Client(written, PUT, on_end=self._put_ended)
        for http in [self._writer, *(stream.http for stream in self.streams)]:
            self._selector.register(http.socket, selectors.EVENT_READ, http)

    def wait(self, messages: int, puts: int = 0) -> None:
        """Until so many messages of watch streams, and answers to puts, have come in all."""
        deadline = time.perf_counter() + WAIT_SECONDS
        while self._messages < messages or self._acknowledged < puts:
            for key, _ in self._selector.select(timeout=1.0):
                key.data.receive()
            if time.perf_counter() > deadline:
                raise NotProven(f"{self._messages} of {messages} watch messages came")

    def put(self, value: bytes) -> float:
        _, data = self._writer.call(pb.PutRequest(key=KEY, value=value).SerializeToString())
        begin = time.perf_counter()
        self._writer.socket.sendall(data)
        return begin

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            key.data.close()
        self._selector.close()

    def _message(self) -> None:
        self._messages += 1
        self.arrivals.append(time.perf_counter())

    def _put_ended(self, _: int) -> None:
        self._acknowledged += 1


@dataclass(frozen=True, slots=True)
class WatchWork:
    """Puts through the leader, one after another, each seen by all watchers of one member."""

    events: int
    watchers: int = 1_000
    on_follower: bool = False
    group: str = "watch"

    @property
    def name(self) -> str:
        where = "a follower" if self.on_follower else "the leader"
        return f"1 event to {self.watchers:,} watchers of {where}"

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        watched = cluster.follower() if self.on_follower else leader
        fan = _FanOut(watched.endpoint, leader.endpoint, self.watchers)
        fan.wait(self.watchers)
        latencies: list[float] = []
        begin = time.perf_counter()
        for number in range(1, self.events + 1):
            fan.arrivals.clear()
            sent = fan.put(b"%d" % number)
            fan.wait(self.watchers * (number + 1), number)
            latencies += [(arrival - sent) * 1000 for arrival in fan.arrivals]
        seconds = time.perf_counter() - begin
        revision = cluster.api(leader).revision()
        for stream in fan.streams:
            event = pb.WatchResponse.FromString(stream.last).events[-1]
            if (event.kv.value, event.kv.mod_revision) != (b"%d" % self.events, revision):
                raise NotProven(f"the last message of a stream is not the last event: {event}")
        fan.close()
        return Measurement(
            {
                Metric("deliveries", "1/s", Better.HIGHER, 1.0): len(latencies) / seconds,
                Metric("p50", "ms", Better.LOWER): percentile(latencies, 0.50),
                Metric("p99", "ms", Better.LOWER, 1.0): percentile(latencies, 0.99),
            },
            {"events": self.events, "deliveries": len(latencies)},
        )
