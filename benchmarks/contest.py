"""Rounds of the same works on two programs in turn, each on a fresh 3-member cluster.

Owns: the order of rounds, the clusters, the collected figures. Must never do: run both at once, or
let one program always go first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.measurement import Measurement, Metric, Work
from tests.e2e.cluster import Cluster
from tests.e2e.program import Program

MEMBERS = 3


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program under a title: comparing a program with itself needs two titles."""

    title: str
    program: Program


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one work: the figures of all rounds, by contestant."""

    work: str
    metric: Metric
    raftkv: Sequence[float]
    etcd: Sequence[float]

    @property
    def ratio(self) -> float:
        return self.metric.ratio(median(self.raftkv), median(self.etcd))

    @property
    def ratios(self) -> Sequence[float]:
        """Round by round: how far they lie apart is how much the median may be trusted."""
        return [
            self.metric.ratio(mine, theirs)
            for mine, theirs in zip(self.raftkv, self.etcd, strict=False)
        ]


@dataclass
class Contest:
    """``run`` fills ``measurements``: contestant title -> work name -> one per round."""

    raftkv: Contestant
    etcd: Contestant
    works: Sequence[Work]
    directory: Path
    measurements: dict[str, dict[str, list[Measurement]]] = field(default_factory=dict)

    def steps(self, rounds: int) -> int:
        """How often ``run`` calls ``on_step``."""
        return rounds * 2 * len(self.works)

    def run(self, rounds: int, on_step: Callable[[str], None]) -> None:
        """``on_step`` is told what begins; an error in a work ends the contest."""
        for number in range(rounds):
            order = [self.raftkv, self.etcd] if number % 2 == 0 else [self.etcd, self.raftkv]
            for contestant in order:
                title = f"round {number + 1}: {contestant.title}"
                for name, measurement in self._measure(contestant, title, on_step):
                    collected = self.measurements.setdefault(contestant.title, {})
                    collected.setdefault(name, []).append(measurement)

    def rows(self) -> list[Row]:
        """All metrics that both contestants have figures of."""
        mine = self.measurements.get(self.raftkv.title, {})
        theirs = self.measurements.get(self.etcd.title, {})
        return [
            Row(
                name,
                metric,
                [one.figures[metric] for one in mine[name]],
                [one.figures[metric] for one in theirs[name]],
            )
            for name in mine
            if name in theirs
            for metric in mine[name][0].figures
        ]

    def _measure(
        self, contestant: Contestant, title: str, on_step: Callable[[str], None]
    ) -> Iterator[tuple[str, Measurement]]:
        with (
            tempfile.TemporaryDirectory(dir=self.directory, prefix="bench-") as data,
            Cluster(contestant.program, Path(data), members=MEMBERS) as cluster,
        ):
            for work in self.works:
                on_step(f"{title}: {work.name}")
                yield work.name, work.measure(cluster)
