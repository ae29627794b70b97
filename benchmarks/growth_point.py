"""What everything costs in a store of one size: puts, gets, lists, restart, joining, memory, disk.

Owns: the figures of one size and their names. Must never do: fill the store, or keep figures.

Every cost is also told as CPU time of the members, which other work on the machine hardly changes;
the times of a clock are only worth something on a quiet machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from random import Random
from statistics import median
from typing import Any

from benchmarks import footprint, growth_load
from benchmarks.filling import END, PREFIX, VALUE_BYTES, key_of
from benchmarks.joining import join
from benchmarks.load import Load
from benchmarks.measurement import NotProven, percentile
from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster
from tests.e2e.member_process import MemberProcess

Figures = dict[str, float]

LOAD_SECONDS = 4.0
PAGE_ROWS = 1_000
PAGES_SECONDS = 2.0
LIST_ROWS = 10_000
"""Of one call of the whole list."""
COUNTS = 20
JOIN_KEYS_MAX = 3_000_000
"""A snapshot of more keys needs three times the room: the database, its copy, the new member's."""
CALL_SECONDS_MAX = 60.0


def loads(cluster: Cluster, keys: int) -> Figures:
    """Puts, gets and lists at the leader; a second after the loads, what it weighs."""
    leader = cluster.leader()
    found = _puts(cluster, keys)
    cpu = footprint.cpu_seconds(*cluster.running)
    gets = growth_load.gets(leader.endpoint, keys, seconds=LOAD_SECONDS)
    found |= _rates("get", gets, footprint.cpu_seconds(*cluster.running) - cpu)
    found |= _lists(leader, keys)
    return found | {
        "resident_mib": footprint.resident_bytes(leader) / 2**20,
        "anonymous_mib": footprint.anonymous_bytes(leader) / 2**20,
        "disk_mib": footprint.disk_bytes(leader) / 2**20,
    }


def crashes(cluster: Cluster, keys: int) -> Figures:
    """kill -9 of all members until all serve again; then one more member joins."""
    before = cluster.api(cluster.leader()).revision()
    cluster.kill()
    began = time.perf_counter()
    cluster.start()
    restart = time.perf_counter() - began
    cpu = footprint.cpu_seconds(*cluster.running) / len(cluster.running)
    after = cluster.api(cluster.leader()).revision()
    if after != before:
        raise NotProven(f"revision {before} before the restart, {after} after it")
    found = {"restart_s": restart, "restart_cpu_s": cpu}
    if keys > JOIN_KEYS_MAX:
        return found
    joined = join(cluster)
    return found | {"join_s": joined.seconds, "join_cpu_s": joined.cpu_seconds}


def _puts(cluster: Cluster, keys: int) -> Figures:
    leader = cluster.leader()
    api = cluster.api(leader)
    before, written = api.revision(), footprint.written_bytes(leader)
    cpu = footprint.cpu_seconds(*cluster.running)
    load = growth_load.puts(leader.endpoint, keys, seconds=LOAD_SECONDS)
    if (done := api.revision() - before) != load.requests:
        raise NotProven(f"{load.requests} puts, but {done} new revisions")
    cpu = footprint.cpu_seconds(*cluster.running) - cpu
    written = footprint.written_bytes(leader) - written
    return _rates("put", load, cpu) | {"put_written_bytes": written / load.requests}


def _rates(name: str, load: Load, cpu_seconds: float) -> Figures:
    return {
        f"{name}_cpu_us": cpu_seconds / load.requests * 1e6,
        f"{name}_per_second": load.per_second,
        f"{name}_p50_ms": percentile(load.latencies_ms, 0.50),
        f"{name}_p99_ms": percentile(load.latencies_ms, 0.99),
    }


def _lists(leader: MemberProcess, keys: int) -> Figures:
    api = Api(leader.endpoint, timeout_seconds=CALL_SECONDS_MAX)
    call: Any = api.channel.unary_unary("/etcdserverpb.KV/Range")
    random = Random(3)

    def ask(request: pb.RangeRequest, rows: int) -> float:
        message = request.SerializeToString()
        began = time.perf_counter()
        answer = call(message, timeout=CALL_SECONDS_MAX)
        seconds = time.perf_counter() - began
        if len(answer) < rows * VALUE_BYTES:
            raise NotProven(f"{len(answer)} bytes are no {rows} rows")
        return seconds * 1000

    def page() -> float:
        start = key_of(int(random.random() * (keys - PAGE_ROWS)))
        return ask(pb.RangeRequest(key=start, range_end=END, limit=PAGE_ROWS), PAGE_ROWS)

    def whole() -> float:
        return sum(
            ask(
                pb.RangeRequest(key=key_of(start), range_end=key_of(start + LIST_ROWS)),
                min(LIST_ROWS, keys - start),
            )
            for start in range(0, keys, LIST_ROWS)
        )

    def count() -> float:
        return ask(pb.RangeRequest(key=PREFIX, range_end=END, count_only=True), 0)

    marks = [footprint.cpu_seconds(leader)]

    def cpu_ms() -> float:
        """Of the leader, since this was last asked."""
        marks.append(footprint.cpu_seconds(leader))
        return (marks[-1] - marks[-2]) * 1000

    pages = list(_for(PAGES_SECONDS, page))
    page_cpu = cpu_ms() / len(pages)
    lists = list(_for(PAGES_SECONDS, whole))
    list_cpu = cpu_ms() / len(lists)
    counts = [count() for _ in range(COUNTS)]
    count_cpu = cpu_ms() / COUNTS
    api.close()
    return {
        "page_cpu_ms": page_cpu,
        "list_cpu_ms": list_cpu,
        "count_cpu_ms": count_cpu,
        "page_p50_ms": percentile(pages, 0.50),
        "list_ms": median(lists),
        "count_ms": median(counts),
    }


def _for(seconds: float, act: Callable[[], float]) -> Iterator[float]:
    """At least once, and not begun again after ``seconds``."""
    end = time.perf_counter() + seconds
    yield act()
    while time.perf_counter() < end:
        yield act()
