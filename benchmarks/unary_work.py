"""Puts and gets: calls a second and latencies at 1 to 1000 clients, on leader and follower.

Owns: the works of the groups put, put-keys, get and get-serializable. Must never do: report a run
whose effect the server does not show: puts are counted by the revision, gets by the bytes of their
answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import h2load
from benchmarks.load import Load
from benchmarks.measurement import Measurement, NotProven
from benchmarks.scripts import KeySequence, PutScript
from benchmarks.unary_client import PUT, RANGE, ClosedLoop
from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster

VALUE_BYTES = 256
KEY = b"bench/000000000000"
# Response sizes change a little with the revision's varint while a run goes on.
BODY_SLACK = 0.02


def by_clients(what: str, clients: int) -> str:
    return f"{what}, {clients} client{'s' * (clients > 1)}"


def size_text(count: int) -> str:
    return f"{count // 1024} KiB" if count % 1024 == 0 else f"{count} B"


@dataclass(frozen=True, slots=True)
class PutWork:
    """Puts of one size to one key through the leader, by h2load."""

    clients: int
    seconds: float
    target: float | None = None
    value_bytes: int = VALUE_BYTES
    group: str = "put"

    @property
    def name(self) -> str:
        return by_clients(f"put {size_text(self.value_bytes)}", self.clients)

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        api = cluster.api(leader)
        request = pb.PutRequest(key=KEY, value=b"v" * self.value_bytes)
        before = api.revision()
        load = h2load.calibrated(
            leader.endpoint, PUT, request, clients=self.clients, seconds=self.seconds
        )
        return proven_writes(load, api.revision() - before, self.target)


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
        what = by_clients(f"put {size_text(VALUE_BYTES)}", self.clients)
        return f"{what}, {self.keys:,} key{'s' * (self.keys > 1)}"

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        api = cluster.api(leader)
        sequence = KeySequence(keys=self.keys, value_bytes=VALUE_BYTES, seed=self.clients)
        before = api.revision()
        loop = ClosedLoop(leader.endpoint, [PutScript(sequence) for _ in range(self.clients)])
        load = loop.run(self.seconds).load
        return proven_writes(load, api.revision() - before, self.target)


@dataclass(frozen=True, slots=True)
class GetWork:
    """Gets of one key of 256 B from one member, linearizable or not, by h2load."""

    clients: int
    seconds: float
    serializable: bool
    target: float | None = None
    on_follower: bool = False

    @property
    def group(self) -> str:
        return "get-serializable" if self.serializable else "get"

    @property
    def name(self) -> str:
        kind = "serializable" if self.serializable else "linearizable"
        where = " of a follower" * self.on_follower
        return by_clients(f"{kind} get{where}", self.clients)

    def measure(self, cluster: Cluster) -> Measurement:
        cluster.api(cluster.leader()).put(KEY, b"v" * VALUE_BYTES)
        member = cluster.follower() if self.on_follower else cluster.leader()
        # A linearizable read first: the member has the put then, also for serializable reads.
        answer = _answer_bytes(cluster.api(member))
        request = pb.RangeRequest(key=KEY, serializable=self.serializable)
        load = h2load.calibrated(
            member.endpoint, RANGE, request, clients=self.clients, seconds=self.seconds
        )
        return proven_reads(load, answer, self.target)


def _answer_bytes(api: Api) -> int:
    return len(h2load.grpc_frame(api.range(KEY).SerializeToString()))


def proven_writes(load: Load, revisions: int, target: float | None) -> Measurement:
    """One revision for each request, those before the clock too."""
    if revisions != load.warm_up + load.requests:
        raise NotProven(
            f"{load.warm_up} + {load.requests} writes answered, but {revisions} new revisions"
        )
    return Measurement(load.figures(target), load.facts() | {"revisions": revisions})


def proven_reads(load: Load, answer_bytes: int, target: float | None) -> Measurement:
    """As many bytes of answers as the requests must give."""
    expected = load.requests * answer_bytes
    if abs(load.body_bytes - expected) > expected * BODY_SLACK:
        raise NotProven(
            f"{load.requests} reads of {answer_bytes} B answered with {load.body_bytes} B in all"
        )
    return Measurement(load.figures(target), load.facts() | {"body_bytes": load.body_bytes})
