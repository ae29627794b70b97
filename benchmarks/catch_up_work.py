"""Watchers that start far in the past: until they have every event of a long history.

Owns: the catch-up works of the group watch. Must never do: decode on the clock; afterwards every
event of every watcher is looked at: none may miss, repeat or change places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import h2load
from benchmarks.load import Load, Stopwatch
from benchmarks.measurement import Better, Measurement, Metric, NotProven, latencies
from benchmarks.message_stream import MessageStreams, read_until
from benchmarks.unary_client import PUT
from benchmarks.watch_work import WATCH, watch_request
from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster

KEY = b"history"
VALUE_BYTES = 256
LAST_VALUE = b"the last event of this history, and no value before it has these bytes"
WRITERS = 1000


@dataclass(frozen=True, slots=True)
class History:
    """One key that was put ``revisions`` times, with nothing else put in between."""

    first: int
    last: int

    @classmethod
    def of(cls, api: Api, revisions: int) -> History:
        """The one that is there, or a new one; always the store's last revisions."""
        found = api.range(KEY)
        kv = found.kvs[0] if found.kvs else None
        if kv is None or (kv.version, kv.mod_revision) != (revisions, found.header.revision):
            api.delete(KEY)
            put = pb.PutRequest(key=KEY, value=b"h" * VALUE_BYTES)
            clients = min(WRITERS, revisions - 1)
            h2load.run(api.endpoint, PUT, put, clients=clients, requests=revisions - 1)
            api.put(KEY, LAST_VALUE)
            found = api.range(KEY)
            kv = found.kvs[0]
        if kv.mod_revision - kv.create_revision + 1 != revisions:
            raise NotProven(f"a history of {revisions} revisions was asked for, not of {kv}")
        return cls(kv.create_revision, kv.mod_revision)


class _Watcher:
    """One watch from the history's first revision, on a connection of its own."""

    def __init__(self, endpoint: str, history: History, watch: Stopwatch) -> None:
        self.seconds: float | None = None
        self._watch = watch
        self._messages: list[bytes] = []
        self.connection = MessageStreams(endpoint, WATCH, self._message)
        _, create = self.connection.open(watch_request(key=KEY, start_revision=history.first))
        self.connection.http.socket.sendall(create)

    def check(self, history: History) -> int:
        """Every revision once and in order; gives how many."""
        seen = [
            event.kv.mod_revision
            for message in self._messages
            for event in pb.WatchResponse.FromString(message).events
        ]
        if seen != list(range(history.first, history.last + 1)):
            raise NotProven(f"{len(seen)} events, not those from {history.first} to {history.last}")
        return len(seen)

    def _message(self, _: int, message: bytes) -> None:
        self._messages.append(message)
        if LAST_VALUE in message:
            self.seconds = self._watch.seconds


def _read_all(watchers: Sequence[_Watcher]) -> None:
    """Until every watcher has the last event."""
    read_until(
        [watcher.connection.http for watcher in watchers],
        lambda: all(watcher.seconds is not None for watcher in watchers),
        lambda: "the last event of a history",
    )


@dataclass(frozen=True, slots=True)
class CatchUpWork:
    """``watchers`` begin at once; each one's time is until it has the last event."""

    watchers: int
    revisions: int = 100_000
    repeats: int = 1
    group: str = "watch"

    @property
    def name(self) -> str:
        plural = "s" * (self.watchers > 1)
        return f"catch-up of {self.revisions:,} revisions, {self.watchers} watcher{plural}"

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        history = History.of(cluster.api(leader), self.revisions)
        times: list[float] = []
        events, seconds, cpu_seconds = 0, 0.0, 0.0
        for _ in range(self.repeats):
            watch = Stopwatch()
            watchers = [_Watcher(leader.endpoint, history, watch) for _ in range(self.watchers)]
            _read_all(watchers)
            seconds += watch.seconds
            cpu_seconds += watch.cpu_seconds
            for watcher in watchers:
                events += watcher.check(history)
                times.append((watcher.seconds or 0.0) * 1000)
                watcher.connection.http.close()
        load = Load(events, seconds, times, cpu_seconds=cpu_seconds)
        figures = {Metric("events", "1/s", Better.HIGHER): load.per_second, **latencies(times)}
        return Measurement(figures, load.facts() | {"events": events})
