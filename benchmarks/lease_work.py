"""Keep-alives of many leases: renewals a second, and how long one takes.

Owns: the work of the group lease. Must never do: count an answer that is not the asked lease's with
its whole time to live.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.load import Load, Stopwatch
from benchmarks.measurement import Measurement, NotProven
from benchmarks.message_stream import MessageStreams, read_until
from benchmarks.scripts import MessageScript
from benchmarks.unary_client import ClosedLoop
from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster

GRANT = "/etcdserverpb.Lease/LeaseGrant"
LEASES = "/etcdserverpb.Lease/LeaseLeases"
KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
FIRST_ID = 1_000_000
TTL_SECONDS = 3_600
GRANTERS = 100
STREAMS = 100
CONNECTIONS = 10


class KeepAlives:
    """Streams that each renew leases of their own, one after another, until told to end."""

    def __init__(self, endpoint: str, ids: Sequence[int], *, streams: int, ttl: int) -> None:
        self.times_ms: list[float] = []
        self._ttl = ttl
        self._open = 0
        self._begun: dict[tuple[int, int], tuple[int, float]] = {}
        self._ids: dict[tuple[int, int], Sequence[int]] = {}
        self._watch = Stopwatch()
        self._seconds = 0.0
        count = min(streams, CONNECTIONS)
        self._connections = [self._connect(endpoint, number) for number in range(count)]
        self._streams: list[tuple[int, int, bytes]] = []
        for number in range(streams):
            connection = self._connections[number % count]
            mine = ids[number::streams]
            stream, data = connection.open(_renewal(mine[0]))
            self._ids[number % count, stream] = mine
            self._streams.append((number % count, stream, data))

    def run(self, seconds: float) -> Load:
        """For ``seconds``, and until each lease was renewed at least once."""
        self._watch, self._seconds = Stopwatch(), seconds
        for number, stream, data in self._streams:
            self._begun[number, stream] = (0, time.perf_counter())
            self._open += 1
            self._connections[number].http.socket.sendall(data)
        https = [connection.http for connection in self._connections]
        read_until(https, lambda: self._open == 0, lambda: f"{self._open} keep-alives unanswered")
        load = Load(
            len(self.times_ms),
            self._watch.seconds,
            self.times_ms,
            cpu_seconds=self._watch.cpu_seconds,
        )
        for http in https:
            http.close()
        return load

    def _connect(self, endpoint: str, number: int) -> MessageStreams:
        return MessageStreams(
            endpoint, KEEP_ALIVE, lambda stream, message: self._renewed(number, stream, message)
        )

    def _renewed(self, number: int, stream: int, message: bytes) -> None:
        turn, begun = self._begun[number, stream]
        now = time.perf_counter()
        self.times_ms.append((now - begun) * 1000)
        ids = self._ids[number, stream]
        answer = pb.LeaseKeepAliveResponse.FromString(message)
        if (ids[turn % len(ids)], self._ttl) != (answer.ID, answer.TTL):
            raise NotProven(f"asked for lease {ids[turn % len(ids)]}, {self._ttl} s; got {answer}")
        turn += 1
        if turn >= len(ids) and self._watch.seconds >= self._seconds:
            self._open -= 1
            return
        self._begun[number, stream] = (turn, now)
        http = self._connections[number].http
        http.socket.sendall(http.message(stream, _renewal(ids[turn % len(ids)])))


def _renewal(lease: int) -> bytes:
    return pb.LeaseKeepAliveRequest(ID=lease).SerializeToString()


@dataclass(frozen=True, slots=True)
class KeepAliveWork:
    """100 clients renew the leases of one leader, each its share, one after another."""

    seconds: float
    leases: int = 10_000
    group: str = "lease"

    @property
    def name(self) -> str:
        return f"keep-alive of {self.leases:,} leases, {STREAMS} clients"

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        ids = range(FIRST_ID, FIRST_ID + self.leases)
        api = cluster.api(leader)
        self._grant(api, ids)
        streams = min(STREAMS, self.leases)
        load = KeepAlives(leader.endpoint, ids, streams=streams, ttl=TTL_SECONDS).run(self.seconds)
        left = _granted(api)
        if not left.issuperset(ids):
            raise NotProven(f"{len(left)} leases are left of {self.leases}")
        return Measurement(load.figures(), load.facts() | {"leases": len(left)})

    def _grant(self, api: Api, ids: Sequence[int]) -> None:
        if _granted(api).issuperset(ids):
            return
        messages = (
            pb.LeaseGrantRequest(ID=one, TTL=TTL_SECONDS).SerializeToString() for one in ids
        )
        scripts = [MessageScript(GRANT, messages) for _ in range(GRANTERS)]
        ClosedLoop(api.endpoint, scripts).run(float("inf"))


def _granted(api: Api) -> set[int]:
    call = api.unary(LEASES, pb.LeaseLeasesResponse)
    answer = call(pb.LeaseLeasesRequest(), timeout=api.timeout_seconds)
    return {lease.ID for lease in answer.leases}
