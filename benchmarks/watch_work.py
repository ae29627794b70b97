"""One event to a thousand watchers: deliveries a second, and how long a delivery takes.

Owns: the fan-out works of the group watch. Must never do: decode events on the clock; each stream's
last message is decoded afterwards to see that it is the last revision.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.http2_client import Http2Client
from benchmarks.load import Load, Stopwatch
from benchmarks.measurement import Better, Measurement, Metric, NotProven, latencies
from benchmarks.message_stream import MessageStreams, read_until
from benchmarks.unary_client import PUT
from raftkv.api import rpc_pb2 as pb
from tests.e2e.cluster import Cluster

WATCH = "/etcdserverpb.Watch/Watch"
KEY = b"fan/out"
CONNECTIONS_MAX = 10


def watch_request(**fields: bytes | int) -> bytes:
    """An encoded create request."""
    create = pb.WatchCreateRequest(**fields)  # type: ignore[arg-type]
    return pb.WatchRequest(create_request=create).SerializeToString()


class FanOut:
    """``streams`` watch streams, spread over connections, and one connection that puts."""

    def __init__(self, watched: str, written: str, *, watchers: int, streams: int) -> None:
        self.messages = 0
        self.arrivals: list[float] = []
        self.last: dict[tuple[int, int], bytes] = {}
        self._acknowledged = 0
        self._writer = Http2Client(written, on_end=self._put_ended)
        count = min(streams, CONNECTIONS_MAX)
        self._connections = [
            self._open(watched, number, streams // count, watchers // streams)
            for number in range(count)
        ]
        self._read = [self._writer, *(one.http for one in self._connections)]

    def wait(self, messages: int, puts: int = 0) -> None:
        """Until so many messages of watch streams, and answers to puts, have come in all."""
        read_until(
            self._read,
            lambda: self.messages >= messages and self._acknowledged >= puts,
            lambda: f"{self.messages} of {messages} watch messages came",
        )

    def put(self, value: bytes) -> float:
        """Send one put; gives when."""
        _, data = self._writer.call(PUT, pb.PutRequest(key=KEY, value=value).SerializeToString())
        begin = time.perf_counter()
        self._writer.socket.sendall(data)
        return begin

    def close(self) -> None:
        for http in self._read:
            http.close()

    def _open(self, endpoint: str, number: int, streams: int, watchers: int) -> MessageStreams:
        def on_message(stream: int, message: bytes) -> None:
            self.messages += 1
            self.arrivals.append(time.perf_counter())
            self.last[number, stream] = message

        connection = MessageStreams(endpoint, WATCH, on_message)
        create = watch_request(key=KEY)
        gathered = b""
        for _ in range(streams):
            stream, first = connection.open(create)
            gathered += first + connection.http.message(stream, create) * (watchers - 1)
        connection.http.socket.sendall(gathered)
        return connection

    def _put_ended(self, _: int) -> None:
        self._acknowledged += 1


def fan_out(fan: FanOut, watchers: int, seconds: float) -> Load:
    """Puts one after another, each when all watchers have the last; latencies of deliveries."""
    fan.wait(watchers)
    times: list[float] = []
    watch = Stopwatch()
    puts = 0
    while not puts or watch.seconds < seconds:
        puts += 1
        fan.arrivals.clear()
        sent = fan.put(b"%d" % puts)
        fan.wait(watchers * (puts + 1), puts)
        times += [(arrival - sent) * 1000 for arrival in fan.arrivals]
    return Load(len(times), watch.seconds, times, cpu_seconds=watch.cpu_seconds)


@dataclass(frozen=True, slots=True)
class WatchWork:
    """Puts through the leader, one after another, each seen by all watchers of one member."""

    seconds: float
    watchers: int = 1_000
    streams: int = 10
    on_follower: bool = False
    target: float | None = None
    group: str = "watch"

    @property
    def name(self) -> str:
        where = "a follower" if self.on_follower else "the leader"
        if self.streams == self.watchers > 1:
            return f"1 event to {self.streams:,} streams of {where}"
        return f"1 event to {self.watchers:,} watcher{'s' * (self.watchers > 1)} of {where}"

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        watched = cluster.follower() if self.on_follower else leader
        fan = FanOut(
            watched.endpoint, leader.endpoint, watchers=self.watchers, streams=self.streams
        )
        load = fan_out(fan, self.watchers, self.seconds)
        events = load.requests // self.watchers
        revision = cluster.api(leader).revision()
        for message in fan.last.values():
            event = pb.WatchResponse.FromString(message).events[-1]
            if (event.kv.value, event.kv.mod_revision) != (b"%d" % events, revision):
                raise NotProven(f"the last message of a stream is not the last event: {event}")
        fan.close()
        figures = {
            Metric("deliveries", "1/s", Better.HIGHER, self.target): load.per_second,
            **latencies(load.latencies_ms, targets={"p99": 1.0} if self.target else None),
        }
        return Measurement(figures, load.facts() | {"events": events, "streams": len(fan.last)})
