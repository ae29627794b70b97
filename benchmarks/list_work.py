"""One unary list of 10,000 keys of 1 KiB: the time for the whole response.

Owns: the works of the group list. Must never do: count the client's own decoding: the response
stays bytes, and is decoded once, outside the clock, to see that it is complete.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import cast

import grpc

from benchmarks import h2load
from benchmarks.measurement import Better, Measurement, Metric, NotProven
from raftkv.api import rpc_pb2 as pb
from tests.e2e.cluster import Cluster

RANGE = "/etcdserverpb.KV/Range"
KEYS = 10_000
VALUE_BYTES = 1024
PUTS_PER_TXN = 100
REQUEST = pb.RangeRequest(key=b"list/", range_end=b"list0")


def _fill(cluster: Cluster) -> None:
    """The keys of the list, unless an earlier work of the round has put them."""
    api = cluster.api(cluster.leader())
    if api.range(REQUEST.key, REQUEST.range_end, count_only=True).count == KEYS:
        return
    for start in range(0, KEYS, PUTS_PER_TXN):
        puts = [
            pb.RequestOp(
                request_put=pb.PutRequest(key=b"list/%08d" % number, value=b"v" * VALUE_BYTES)
            )
            for number in range(start, start + PUTS_PER_TXN)
        ]
        api.txn(success=puts)


def _check(answer: bytes) -> None:
    rows = pb.RangeResponse.FromString(answer).kvs
    if len(rows) != KEYS or any(len(row.value) != VALUE_BYTES for row in rows):
        raise NotProven(f"the list has {len(rows)} rows of {KEYS}")


@dataclass(frozen=True, slots=True)
class GrpcioListWork:
    """The list as a grpcio client sees it."""

    repeats: int = 20
    group: str = "list"

    @property
    def name(self) -> str:
        return f"list of {KEYS:,} x 1 KiB (grpcio client)"

    def measure(self, cluster: Cluster) -> Measurement:
        _fill(cluster)
        endpoint = cluster.leader().endpoint
        with grpc.insecure_channel(
            endpoint, options=[("grpc.max_receive_message_length", -1)]
        ) as channel:
            call = cast("Callable[[bytes], bytes]", channel.unary_unary(RANGE))
            request = REQUEST.SerializeToString()
            _check(call(request))
            times = []
            for _ in range(self.repeats):
                begin = time.perf_counter()
                answer = call(request)
                times.append((time.perf_counter() - begin) * 1000)
        _check(answer)
        return Measurement(
            {
                Metric("median", "ms", Better.LOWER, 3.0): median(times),
                Metric("longest", "ms", Better.LOWER): max(times),
            },
            {"bytes": len(answer)},
        )


@dataclass(frozen=True, slots=True)
class H2loadListWork:
    """The list with a client that costs next to nothing, and windows that hold all of it."""

    repeats: int = 40
    group: str = "list"

    @property
    def name(self) -> str:
        return f"list of {KEYS:,} x 1 KiB (h2load)"

    def measure(self, cluster: Cluster) -> Measurement:
        _fill(cluster)
        leader = cluster.leader()
        h2load.run(leader.endpoint, RANGE, REQUEST, clients=1, requests=3)
        load = h2load.run(leader.endpoint, RANGE, REQUEST, clients=1, requests=self.repeats)
        if load.body_bytes < self.repeats * KEYS * VALUE_BYTES:
            raise NotProven(f"{self.repeats} lists came as {load.body_bytes} bytes only")
        return Measurement(
            {
                Metric("p50", "ms", Better.LOWER, 3.0): load.p50_ms,
                Metric("p99", "ms", Better.LOWER): load.p99_ms,
            },
            {"bytes": load.body_bytes},
        )
