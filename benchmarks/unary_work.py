"""Puts and gets: calls a second and latencies at 1, 100 and 1000 clients.

Owns: the works of the groups put, put-keys, get and get-serializable. Must never do: report a run
whose effect the server does not show: puts are counted by the revision, gets by the bytes of their
answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import h2load
from benchmarks.h2load import Load
from benchmarks.measurement import Better, Measurement, Metric, NotProven
from benchmarks.unary_client import PUT, KeySequence, UnaryRun
from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster

RANGE = "/etcdserverpb.KV/Range"
VALUE_BYTES = 256
KEY = b"bench/000000000000"
# Response sizes change a little with the revision's varint while a run goes on.
BODY_SLACK = 0.02
CALIBRATION_REQUESTS = 200


def _clients(what: str, clients: int) -> str:
    return f"{what}, {clients} client{'s' * (clients > 1)}"


def _figures(load: Load, target: float | None) -> dict[Metric, float]:
    return {
        Metric("throughput", "1/s", Better.HIGHER, target): load.per_second,
        Metric("p50", "ms", Better.LOWER): load.p50_ms,
        Metric("p99", "ms", Better.LOWER, 1.0 if target else None): load.p99_ms,
    }


def _requests_for(rate: Load, seconds: float, clients: int) -> int:
    """As many requests as take ``seconds``, going by a short run; each client gets the same."""
    return max(1, round(rate.per_second * seconds / clients)) * clients


@dataclass(frozen=True, slots=True)
class PutWork:
    """Puts of 256 B to one key through the leader, by h2load."""

    clients: int
    seconds: float
    target: float | None = None
    group: str = "put"

    @property
    def name(self) -> str:
        return _clients("put 256 B", self.clients)

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        request = pb.PutRequest(key=KEY, value=b"v" * VALUE_BYTES)

        def load(requests: int) -> Load:
            return h2load.run(
                leader.endpoint, PUT, request, clients=self.clients, requests=requests
            )

        rate = load(max(CALIBRATION_REQUESTS, 5 * self.clients))
        api = cluster.api(leader)
        before = api.revision()
        done = load(_requests_for(rate, self.seconds, self.clients))
        return _proven_puts(done, api.revision() - before, self.target)


@dataclass(frozen=True, slots=True)
class VariedPutWork:
    """Puts of 256 B to many keys through the leader, by our own generator."""

    clients: int
    seconds: float
    keys: int = 100_000
    target: float | None = None
    group: str = "put-keys"

    @property
    def name(self) -> str:
        return f"{_clients('put 256 B', self.clients)}, {self.keys:,} key{'s' * (self.keys > 1)}"

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        sequence = KeySequence(keys=self.keys, value_bytes=VALUE_BYTES, seed=self.clients)

        def load(requests: int) -> Load:
            return UnaryRun(
                leader.endpoint, clients=self.clients, requests=requests, keys=sequence
            ).go()

        rate = load(max(CALIBRATION_REQUESTS, 5 * self.clients))
        api = cluster.api(leader)
        before = api.revision()
        done = load(_requests_for(rate, self.seconds, self.clients))
        return _proven_puts(done, api.revision() - before, self.target)


@dataclass(frozen=True, slots=True)
class GetWork:
    """Gets of one key of 256 B from the leader, linearizable or not, by h2load."""

    clients: int
    seconds: float
    serializable: bool
    target: float | None = None

    @property
    def group(self) -> str:
        return "get-serializable" if self.serializable else "get"

    @property
    def name(self) -> str:
        kind = "serializable" if self.serializable else "linearizable"
        return _clients(f"{kind} get", self.clients)

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        api = cluster.api(leader)
        api.put(KEY, b"v" * VALUE_BYTES)
        request = pb.RangeRequest(key=KEY, serializable=self.serializable)

        def load(requests: int) -> Load:
            return h2load.run(
                leader.endpoint, RANGE, request, clients=self.clients, requests=requests
            )

        rate = load(max(CALIBRATION_REQUESTS, 5 * self.clients))
        done = load(_requests_for(rate, self.seconds, self.clients))
        return _proven_gets(done, _answer_bytes(api), self.target)


def _answer_bytes(api: Api) -> int:
    return len(h2load.grpc_frame(api.range(KEY).SerializeToString()))


def _proven_puts(load: Load, revisions: int, target: float | None) -> Measurement:
    if revisions != load.requests:
        raise NotProven(f"{load.requests} puts answered, but {revisions} new revisions")
    return Measurement(_figures(load, target), {"requests": load.requests, "revisions": revisions})


def _proven_gets(load: Load, answer_bytes: int, target: float | None) -> Measurement:
    expected = load.requests * answer_bytes
    if abs(load.body_bytes - expected) > expected * BODY_SLACK:
        raise NotProven(
            f"{load.requests} gets of {answer_bytes} B answered with {load.body_bytes} B in all"
        )
    return Measurement(
        _figures(load, target), {"requests": load.requests, "body_bytes": load.body_bytes}
    )
