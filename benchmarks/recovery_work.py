"""What happens around crashes, and what a full store weighs: failover, restart, resident memory.

Owns: the works of the groups failover and recovery. Must never do: leave a member dead for the next
work of the round.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import grpc

from benchmarks.filling import CALL_SECONDS_MAX, VALUE_BYTES, check, fill
from benchmarks.footprint import disk_bytes, resident_bytes, written_bytes
from benchmarks.measurement import Better, Measurement, Metric, NotProven
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster
from tests.e2e.waiting import wait_until

CALL_SECONDS = 0.5
FAILOVER_SECONDS_MAX = 60.0


def _accepts(api: Api, key: bytes) -> bool:
    try:
        api.put(key, b"v")
    except grpc.RpcError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class FailoverWork:
    """kill -9 of the leader, until a put through another member is acknowledged."""

    repeats: int = 3
    group: str = "failover"

    @property
    def name(self) -> str:
        return "failover after kill -9 of the leader"

    def measure(self, cluster: Cluster) -> Measurement:
        times = [self._once(cluster) for _ in range(self.repeats)]
        return Measurement(
            {
                Metric("median", "s", Better.LOWER, 1.0): median(times),
                Metric("longest", "s", Better.LOWER): max(times),
            }
        )

    def _once(self, cluster: Cluster) -> float:
        cluster.wait_alike()
        leader, survivor = cluster.leader(), cluster.follower()
        api = Api(survivor.endpoint, timeout_seconds=CALL_SECONDS)
        api.put(b"failover", b"before")
        leader.kill()
        begin = time.perf_counter()
        wait_until(
            lambda: _accepts(api, b"failover"), "a put after failover", seconds=FAILOVER_SECONDS_MAX
        )
        seconds = time.perf_counter() - begin
        api.close()
        cluster.start()
        return seconds


@dataclass(frozen=True, slots=True)
class RecoveryWork:
    """A store of many keys: its memory, its disk, and kill -9 of all members until all serve."""

    keys: int
    group: str = "recovery"

    @property
    def name(self) -> str:
        return f"{self.keys:,} keys of {VALUE_BYTES} B"

    def measure(self, cluster: Cluster) -> Measurement:
        written = sum(map(written_bytes, cluster.members))
        api = Api(cluster.leader().endpoint, timeout_seconds=CALL_SECONDS_MAX)
        fill(api, 0, self.keys)
        check(api, self.keys)
        api.close()
        cluster.wait_alike()
        written = sum(map(written_bytes, cluster.members)) - written
        resident = max(map(resident_bytes, cluster.members))
        disk = max(map(disk_bytes, cluster.members))
        before = cluster.api(cluster.leader()).revision()
        cluster.kill()
        begin = time.perf_counter()
        cluster.start()
        seconds = time.perf_counter() - begin
        after = cluster.api(cluster.leader()).revision()
        if after != before:
            raise NotProven(f"revision {before} before the restart, {after} after it")
        return Measurement(
            {
                Metric("resident memory", "MiB", Better.LOWER, 1.0): resident / 2**20,
                Metric("restart", "s", Better.LOWER, 1.0): seconds,
                Metric("disk of a member", "MiB", Better.LOWER): disk / 2**20,
                Metric("written by a member per put", "B", Better.LOWER): (
                    written / len(cluster.members) / self.keys
                ),
            },
            {"revision": after},
        )
