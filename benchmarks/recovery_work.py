"""What happens around crashes, and what a full store weighs: failover, restart, resident memory.

Owns: the works of the groups failover and recovery. Must never do: leave a member dead for the next
work of the round.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import grpc

from benchmarks.measurement import Better, Measurement, Metric, NotProven
from benchmarks.unary_client import KEY_DIGITS
from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster
from tests.e2e.member_process import MemberProcess
from tests.e2e.waiting import wait_until

VALUE_BYTES = 256
PUTS_PER_TXN = 100
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
    """A store of many keys: its memory, and kill -9 of all members until all serve again."""

    keys: int
    group: str = "recovery"

    @property
    def name(self) -> str:
        return f"{self.keys:,} keys of {VALUE_BYTES} B"

    def measure(self, cluster: Cluster) -> Measurement:
        self._fill(cluster.api(cluster.leader()))
        cluster.wait_alike()
        resident = max(resident_bytes(member) for member in cluster.members)
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
            },
            {"revision": after},
        )

    def _fill(self, api: Api) -> None:
        for start in range(0, self.keys, PUTS_PER_TXN):
            puts = [
                pb.RequestOp(
                    request_put=pb.PutRequest(
                        key=b"many/%0*d" % (KEY_DIGITS, number), value=b"v" * VALUE_BYTES
                    )
                )
                for number in range(start, min(start + PUTS_PER_TXN, self.keys))
            ]
            api.txn(success=puts)


def resident_bytes(member: MemberProcess) -> int:
    """The member's resident set, pages of its memory-mapped database included."""
    for line in Path(f"/proc/{member.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise NotProven(f"no VmRSS for process {member.pid}")
