"""How long a member's disk and its applying take, as they happen.

Owns: MemberObserver (``server.member.Observer``): three histograms, the count of slow entries, and
etcd's warning of one. Must never do: more per entry of the log than one observation; an entry holds
all requests of a turn.
"""

from __future__ import annotations

import logging
import time

from prometheus_client import CollectorRegistry, Counter, Histogram

from raftkv.log_fields import fields
from raftkv.raft.message import Entry

# etcd's: of disks 1 ms doubled thirteen times, of applying 0.1 ms doubled nineteen times.
_DISK_BUCKETS = tuple(0.001 * 2**power for power in range(14))
_APPLY_BUCKETS = tuple(0.0001 * 2**power for power in range(20))

log = logging.getLogger("raftkv.server")


class MemberObserver:
    """``warning_apply_s``: an entry that takes longer is warned of; 0 never."""

    def __init__(self, registry: CollectorRegistry, warning_apply_s: float) -> None:
        self._warning_s = warning_apply_s or float("inf")
        self.wal_fsync = Histogram(
            "etcd_disk_wal_fsync_duration_seconds",
            "How long the log's fsync took.",
            registry=registry,
            buckets=_DISK_BUCKETS,
        )
        self.backend_commit = Histogram(
            "etcd_disk_backend_commit_duration_seconds",
            "How long the database's commit took.",
            registry=registry,
            buckets=_DISK_BUCKETS,
        )
        self.apply = Histogram(
            "etcd_server_apply_duration_seconds",
            "How long an entry of the log, with all its requests, took to apply.",
            ("version", "op", "success"),
            registry=registry,
            buckets=_APPLY_BUCKETS,
        ).labels("v3", "Entry", "true")
        self._slow = Counter(
            "etcd_server_slow_apply", "Entries that took long to apply.", registry=registry
        )

    def clock(self) -> float:
        return time.perf_counter()

    def fsync_seconds(self, seconds: float) -> None:
        self.wal_fsync.observe(seconds)

    def commit_seconds(self, seconds: float) -> None:
        self.backend_commit.observe(seconds)

    def entry_seconds(self, seconds: float, entry: Entry) -> None:
        self.apply.observe(seconds)
        if seconds > self._warning_s:
            self._slow.inc()
            log.warning(
                "apply request took too long",
                extra=fields(
                    took=f"{1000 * seconds:.3f}ms",
                    expected_duration=f"{1000 * self._warning_s:g}ms",
                    index=entry.index,
                    bytes=len(entry.data),
                ),
            )
