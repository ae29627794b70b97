"""raftkv that never waits for the disk: what stands beside PySyncObj, whose journal is not synced.

Owns: its cluster and its works. Must never do: stand for raftkv where durability is promised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurement import Measurement
from benchmarks.plan import START_SECONDS
from benchmarks.unary_work import PutWork
from tests.e2e.cluster import Cluster
from tests.e2e.program import Program

CLIENTS = (1, 100)
FLAGS = ("--unsafe-no-fsync",)


@dataclass(frozen=True, slots=True)
class NoSyncGuest:
    """Puts at 1 and 100 clients; gets wait for no disk anyway."""

    program: Program
    load_seconds: float
    rounds: int
    members: int = 3
    title: str = "raftkv, no fsync"

    @property
    def works(self) -> Sequence[str]:
        return [work.name for work in self._works()]

    @property
    def seconds(self) -> float:
        return START_SECONDS + len(CLIENTS) * (self.load_seconds + 1.0)

    def measure(self, directory: Path) -> Mapping[str, Measurement]:
        with Cluster(self.program, directory, members=self.members, flags=FLAGS) as cluster:
            return {work.name: work.measure(cluster) for work in self._works()}

    def _works(self) -> list[PutWork]:
        return [PutWork(clients, self.load_seconds) for clients in CLIENTS]
