"""Lists of many keys of 1 KiB: whole, of keys only, counted, of the past, and page by page.

Owns: the works of the group list. Must never do: count the client's own decoding where a client
that decodes is not what the work says: an answer stays bytes, and is decoded once, off the clock,
to see that it is complete.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import grpc

from benchmarks import h2load
from benchmarks.load import Load, Stopwatch
from benchmarks.measurement import Measurement, NotProven, latencies
from benchmarks.rows import Rows
from benchmarks.scripts import PagedListScript
from benchmarks.unary_client import RANGE, ClosedLoop
from benchmarks.unary_work import BODY_SLACK
from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster

LIST = Rows(b"list/", 10_000, 1024)
LONG_LIST = Rows(b"long/", 100_000, 1024)
AGED_LIST = Rows(b"aged/", 10_000, 1024)
OLD, NEW = b"o", b"n"
FIRST_REVISION_KEY = b"aged-first"
LIST_SECONDS_MAX = 60.0
PAGE_ROWS = 500
TARGET = 3.0


def _count_text(rows: Rows) -> str:
    return f"{rows.count:,} x {rows.value_bytes // 1024} KiB"


def _measurement(load: Load, answer_bytes: int, target: float | None) -> Measurement:
    figures = latencies(load.latencies_ms, targets={"p50": target} if target else None)
    return Measurement(figures, load.facts() | {"answer_bytes": answer_bytes})


@dataclass(frozen=True, slots=True)
class GrpcioListWork:
    """The list as a grpcio client sees it, which keeps the answer's bytes."""

    rows: Rows = LIST
    seconds: float = 1.0
    group: str = "list"

    @property
    def name(self) -> str:
        return f"list {_count_text(self.rows)}, grpcio client"

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        _fill(cluster.api(leader), self.rows)
        with grpc.insecure_channel(
            leader.endpoint, options=[("grpc.max_receive_message_length", -1)]
        ) as channel:
            call = cast("Callable[[bytes], bytes]", channel.unary_unary(RANGE))
            request = self.rows.request().SerializeToString()
            self.rows.check(call(request))
            times: list[float] = []
            watch = Stopwatch()
            while not times or watch.seconds < self.seconds:
                begin = time.perf_counter()
                answer = call(request)
                times.append((time.perf_counter() - begin) * 1000)
            load = Load(len(times), watch.seconds, times, cpu_seconds=watch.cpu_seconds)
        self.rows.check(answer)
        return _measurement(load, len(answer), TARGET)


@dataclass(frozen=True, slots=True)
class H2loadListWork:
    """One unary answer to a client that costs next to nothing, with windows that hold all of it."""

    title: str = ""
    rows: Rows = LIST
    seconds: float = 1.0
    keys_only: bool = False
    count_only: bool = False
    target: float | None = None
    group: str = "list"

    @property
    def name(self) -> str:
        return f"list {_count_text(self.rows)}" + (f", {self.title}" if self.title else "")

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        api = cluster.api(leader)
        _fill(api, self.rows)
        request = self.rows.request(keys_only=self.keys_only, count_only=self.count_only)
        answer = api.unary(RANGE, pb.RangeResponse)(request, timeout=LIST_SECONDS_MAX)
        encoded = answer.SerializeToString()
        if self.count_only:
            if (answer.count, len(answer.kvs)) != (self.rows.count, 0):
                raise NotProven(f"counted {answer.count} of {self.rows.count}")
        else:
            self.rows.check(encoded, keys_only=self.keys_only)
        return _listed(leader.endpoint, request, len(encoded), self.seconds, self.target)


@dataclass(frozen=True, slots=True)
class OldListWork:
    """All rows as they were at an old revision; each was put again since."""

    rows: Rows = AGED_LIST
    seconds: float = 1.0
    group: str = "list"

    @property
    def name(self) -> str:
        return f"list {_count_text(self.rows)}, at an old revision"

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        api = cluster.api(leader)
        if not self.rows.exist(api):
            self.rows.put(api, OLD)
            api.put(FIRST_REVISION_KEY, b"")
            self.rows.put(api, NEW)
        revision = api.range(FIRST_REVISION_KEY).kvs[0].mod_revision
        request = self.rows.request(revision=revision)
        answer = api.unary(RANGE, pb.RangeResponse)(request, timeout=LIST_SECONDS_MAX)
        encoded = answer.SerializeToString()
        self.rows.check(encoded, letter=OLD)
        return _listed(leader.endpoint, request, len(encoded), self.seconds, None)


@dataclass(frozen=True, slots=True)
class PagedListWork:
    """A list as Kubernetes' clients read it: pages of 500 at one revision, each decoded."""

    rows: Rows = LIST
    seconds: float = 1.0
    group: str = "list"

    @property
    def name(self) -> str:
        return f"list {_count_text(self.rows)}, in pages of {PAGE_ROWS}"

    def measure(self, cluster: Cluster) -> Measurement:
        leader = cluster.leader()
        _fill(cluster.api(leader), self.rows)
        script = PagedListScript(
            self.rows.prefix,
            self.rows.end,
            limit=PAGE_ROWS,
            rows=self.rows.count,
            seconds=self.seconds,
        )
        pages = ClosedLoop(leader.endpoint, [script]).run(float("inf")).load
        facts: dict[str, float | str] = pages.facts() | {"lists": len(script.times_ms)}
        return Measurement(latencies(script.times_ms), facts)


def _fill(api: Api, rows: Rows) -> None:
    if not rows.exist(api):
        rows.put(api)


def _listed(
    endpoint: str, request: pb.RangeRequest, answer_bytes: int, seconds: float, target: float | None
) -> Measurement:
    load = h2load.calibrated(endpoint, RANGE, request, clients=1, seconds=seconds, first=3)
    expected = load.requests * answer_bytes
    if abs(load.body_bytes - expected) > max(expected * BODY_SLACK, load.requests * 16):
        raise NotProven(f"{load.requests} lists of {answer_bytes} B came as {load.body_bytes} B")
    return _measurement(load, answer_bytes, target)
