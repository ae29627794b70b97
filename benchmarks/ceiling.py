"""How much load each generator could drive: the same generators on a server that does nothing.

Owns: the check that a whole run begins with, and ``python -m benchmarks --check-generator``. Must
never do: measure a store.

Two figures of each: what went through together with the responder, which is Python and shares the
processors, and what one core could generate at most, by the generator's own CPU time per call. That
one does not depend on the responder.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks import h2load
from benchmarks.lease_work import TTL_SECONDS, KeepAlives
from benchmarks.load import Load
from benchmarks.responder import LIST_BYTES, LIST_PATH
from benchmarks.scripts import KeySequence, PutScript, UpdateScript
from benchmarks.unary_client import PUT, RANGE, ClosedLoop
from benchmarks.unary_work import VALUE_BYTES
from benchmarks.watch_work import FanOut, fan_out
from raftkv.api import rpc_pb2 as pb
from tests.e2e.program import RAFTKV

END_SECONDS = 10.0
WATCHERS = 1_000
LEASES = 10_000


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What one generator did against the responder."""

    generator: str
    unit: str
    load: Load

    @property
    def per_core(self) -> float:
        """Calls a second, were the whole of one core the generator's."""
        return self.load.requests / self.load.cpu_seconds


@contextmanager
def responder() -> Iterator[str]:
    """The endpoint of a responder in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.responder"],
        stdout=subprocess.PIPE,
        env=RAFTKV.environment(),
    )
    assert process.stdout is not None
    try:
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate(timeout=END_SECONDS)


def ceilings(seconds: float) -> list[Ceiling]:
    """Every generator that a work uses, one after another."""
    with responder() as endpoint:
        return [
            Ceiling(generator, unit, drive(endpoint)) for generator, unit, drive in _drives(seconds)
        ]


def check_generators(seconds: float) -> list[dict[str, Any]]:
    """The figures of all generators, as a result's document has them."""
    return [
        {
            "generator": one.generator,
            "unit": one.unit,
            "with_responder": one.load.per_second,
            "busy": round(one.load.busy, 3),
            "per_core": one.per_core,
        }
        for one in ceilings(seconds)
    ]


Drive = Callable[[str], Load]


def _drives(seconds: float) -> Sequence[tuple[str, str, Drive]]:
    put = pb.PutRequest(key=b"k" * 18, value=b"v" * VALUE_BYTES)
    get = pb.RangeRequest(key=b"k" * 18)

    def h2(path: str, request: pb.PutRequest | pb.RangeRequest, clients: int) -> Drive:
        return lambda endpoint: h2load.calibrated(
            endpoint, path, request, clients=clients, seconds=seconds, first=50
        )

    def puts(endpoint: str) -> Load:
        keys = KeySequence(keys=100_000, value_bytes=VALUE_BYTES, seed=1)
        scripts = [PutScript(keys) for _ in range(1000)]
        return ClosedLoop(endpoint, scripts).run(seconds).load

    def updates(endpoint: str) -> Load:
        scripts = [UpdateScript(b"txn/%d" % one, VALUE_BYTES) for one in range(1000)]
        return ClosedLoop(endpoint, scripts).run(seconds).load

    def watches(streams: int) -> Drive:
        def drive(endpoint: str) -> Load:
            fan = FanOut(endpoint, endpoint, watchers=WATCHERS, streams=streams)
            load = fan_out(fan, WATCHERS, seconds)
            fan.close()
            return load

        return drive

    def keep_alives(endpoint: str) -> Load:
        # The responder answers for lease 1 whatever it is asked.
        return KeepAlives(endpoint, [1] * LEASES, streams=100, ttl=TTL_SECONDS).run(seconds)

    lists = f"list of {LIST_BYTES >> 20} MiB"
    return [
        ("h2load, put, 1 client", "calls/s", h2(PUT, put, 1)),
        ("h2load, put, 100 clients", "calls/s", h2(PUT, put, 100)),
        ("h2load, put, 1000 clients", "calls/s", h2(PUT, put, 1000)),
        ("h2load, get, 1000 clients", "calls/s", h2(RANGE, get, 1000)),
        (f"h2load, {lists}", "lists/s", h2(LIST_PATH, get, 1)),
        ("our closed loop, put, 1000 clients", "calls/s", puts),
        ("our closed loop, txn, 1000 clients", "calls/s", updates),
        ("our watches, 1,000 on 10 streams", "events/s", watches(10)),
        ("our watches, 1,000 streams", "events/s", watches(WATCHERS)),
        ("our keep-alives, 100 streams", "calls/s", keep_alives),
    ]
