"""Rounds of the same works on two programs in turn, each on a fresh 3-member cluster.

Owns: the order of rounds, the clusters, the collected figures, the failures. Must never do: run
both at once, or let one program always go first.

A work that fails is told in ``failures``; the rest of its round goes on, on a new cluster.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Protocol

import grpc
from google.protobuf.message import DecodeError

from benchmarks.measurement import Measurement, Metric, NotProven
from benchmarks.plan import START_SECONDS, Plan, Planned
from tests.e2e.cluster import Cluster
from tests.e2e.program import Program
from tests.e2e.waiting import TimedOut

MEMBERS = 3
WORK_ERRORS = (
    NotProven,
    TimedOut,
    OSError,
    ValueError,
    grpc.RpcError,
    DecodeError,
    subprocess.SubprocessError,
)
"""What a work may end with when the program, not the work, is wrong; anything else ends the run."""

OnStep = Callable[[str, float], None]
"""Told what begins, and how many seconds were planned for it."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program under a title: comparing a program with itself needs two titles."""

    title: str
    program: Program


class Guest(Protocol):
    """A third system, which is no program that takes etcd's flags: it brings its own cluster."""

    @property
    def title(self) -> str: ...

    @property
    def works(self) -> Sequence[str]:
        """Names of the works that it has figures of."""

    @property
    def seconds(self) -> float:
        """Of one ``measure``, about."""

    @property
    def rounds(self) -> int: ...

    def measure(self, directory: Path) -> Mapping[str, Measurement]:
        """By the name of the work."""


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one work: the figures by round, of each contestant."""

    group: str
    work: str
    metric: Metric
    raftkv: Mapping[int, float]
    etcd: Mapping[int, float]
    guests: Mapping[str, Mapping[int, float]]

    @property
    def ratio(self) -> float:
        return self.metric.ratio(median(self.raftkv.values()), median(self.etcd.values()))

    @property
    def ratios(self) -> Sequence[float]:
        """Round by round: how far they lie apart is how much the median may be trusted."""
        return [
            self.metric.ratio(self.raftkv[number], self.etcd[number])
            for number in sorted(self.raftkv.keys() & self.etcd.keys())
        ]


@dataclass(frozen=True, slots=True)
class Failure:
    """A work that has no figures of one round."""

    program: str
    work: str
    round: int
    error: str


def _three_members(program: Program, directory: Path) -> AbstractContextManager[Cluster]:
    return Cluster(program, directory, members=MEMBERS)


@dataclass
class Contest:
    """``run`` fills ``measurements``: contestant title -> work name -> round -> what was found."""

    raftkv: Contestant
    etcd: Contestant
    plan: Plan
    directory: Path
    guests: Sequence[Guest] = ()
    cluster_of: Callable[[Program, Path], AbstractContextManager[Cluster]] = _three_members
    measurements: dict[str, dict[str, dict[int, Measurement]]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Of all that ``on_step`` is told, as planned."""
        return self.plan.seconds + sum(guest.rounds * guest.seconds for guest in self.guests)

    def run(self, on_step: OnStep, after_round: Callable[[], None]) -> None:
        """All rounds; ``after_round`` may save what there is."""
        for number in range(self.plan.rounds):
            order = [self.raftkv, self.etcd] if number % 2 == 0 else [self.etcd, self.raftkv]
            for contestant in order:
                self._measure(contestant, number, on_step)
            for guest in self.guests:
                if number < guest.rounds:
                    self._measure_guest(guest, number, on_step)
            after_round()

    def rows(self) -> list[Row]:
        """All metrics that both contestants have figures of, the rows of a group together."""
        mine = self.measurements.get(self.raftkv.title, {})
        theirs = self.measurements.get(self.etcd.title, {})
        groups = self.plan.groups
        works = sorted(
            (planned.work for planned in self.plan.works), key=lambda work: groups.index(work.group)
        )
        return [
            Row(
                work.group,
                work.name,
                metric,
                _by_round(mine[work.name], metric),
                _by_round(theirs[work.name], metric),
                self._guests_figures(work.name, metric),
            )
            for work in works
            if work.name in mine and work.name in theirs
            for metric in _common_metrics(mine[work.name], theirs[work.name])
        ]

    def _guests_figures(self, work: str, metric: Metric) -> dict[str, dict[int, float]]:
        figures = {
            guest.title: {
                number: value
                for number, one in self.measurements.get(guest.title, {}).get(work, {}).items()
                for other, value in one.figures.items()
                if other.name == metric.name
            }
            for guest in self.guests
        }
        return {title: rounds for title, rounds in figures.items() if rounds}

    def _measure(self, contestant: Contestant, number: int, on_step: OnStep) -> None:
        left = iter(self.plan.of_round(number))
        on_step(f"round {number + 1}: {contestant.title}: starting", START_SECONDS)
        while (planned := next(left, None)) is not None:
            works = chain([planned], left)
            try:
                with (
                    tempfile.TemporaryDirectory(dir=self.directory, prefix="bench-") as data,
                    self.cluster_of(contestant.program, Path(data)) as cluster,
                ):
                    self._until_failure(contestant, cluster, number, works, on_step)
            except WORK_ERRORS as error:
                self._failed(contestant.title, "its three members", number, error)
                return

    def _until_failure(
        self,
        contestant: Contestant,
        cluster: Cluster,
        number: int,
        works: Iterator[Planned],
        on_step: OnStep,
    ) -> None:
        for planned in works:
            name = planned.work.name
            on_step(f"round {number + 1}: {contestant.title}: {name}", planned.seconds)
            try:
                self._collect(contestant.title, name, number, planned.work.measure(cluster))
            except WORK_ERRORS as error:
                self._failed(contestant.title, name, number, error)
                return

    def _measure_guest(self, guest: Guest, number: int, on_step: OnStep) -> None:
        on_step(f"round {number + 1}: {guest.title}", guest.seconds)
        try:
            with tempfile.TemporaryDirectory(dir=self.directory, prefix="bench-") as data:
                for name, measurement in guest.measure(Path(data)).items():
                    self._collect(guest.title, name, number, measurement)
        except WORK_ERRORS as error:
            self._failed(guest.title, "all", number, error)

    def _collect(self, title: str, work: str, number: int, measurement: Measurement) -> None:
        self.measurements.setdefault(title, {}).setdefault(work, {})[number] = measurement

    def _failed(self, title: str, work: str, number: int, error: BaseException) -> None:
        text = f"{type(error).__name__}: {error}"
        self.failures.append(Failure(title, work, number + 1, text))


def _common_metrics(
    mine: Mapping[int, Measurement], theirs: Mapping[int, Measurement]
) -> list[Metric]:
    """In the order of the first run: a rare kind of call may be missing from a short one."""
    there = {metric for one in theirs.values() for metric in one.figures}
    ours = dict.fromkeys(metric for one in mine.values() for metric in one.figures)
    return [metric for metric in ours if metric in there]


def _by_round(runs: Mapping[int, Measurement], metric: Metric) -> dict[int, float]:
    return {number: one.figures[metric] for number, one in runs.items() if metric in one.figures}
