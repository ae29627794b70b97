"""What a piece of work is and what it measures.

Owns: Metric, Measurement, percentiles and the Work protocol. Must never do: run anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from tests.e2e.cluster import Cluster

SHARES = {"p50": 0.50, "p99": 0.99, "p99.9": 0.999}


class Better(Enum):
    """Which way a metric improves; it decides which way round the ratio is taken."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure's name and unit. ``target`` is the ratio that the target table asks for, if any."""

    name: str
    unit: str
    better: Better
    target: float | None = None

    def ratio(self, raftkv: float, etcd: float) -> float:
        """Above 1 raftkv is ahead, whichever way the metric improves."""
        above, below = (raftkv, etcd) if self.better is Better.HIGHER else (etcd, raftkv)
        return above / below if below else float("nan")


@dataclass(frozen=True, slots=True)
class Measurement:
    """The figures of one run of one work on one program."""

    figures: dict[Metric, float]
    facts: dict[str, float | str] = field(default_factory=dict)
    """What proves that the work was done, for the JSON file."""


class Work(Protocol):
    """One row group of the table. Works of a round run one after another on the same cluster."""

    @property
    def name(self) -> str: ...

    @property
    def group(self) -> str:
        """What --work selects it by."""

    def measure(self, cluster: Cluster) -> Measurement: ...


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed (nearest rank)."""
    return _ranked(sorted(values), share)


def latencies(
    milliseconds: Iterable[float], *, what: str = "", targets: dict[str, float] | None = None
) -> dict[Metric, float]:
    """p50, p99 and p99.9, with ``what`` before each name; ``targets`` by the bare name."""
    ordered = sorted(milliseconds)
    prefix = f"{what} " if what else ""
    return {
        Metric(prefix + name, "ms", Better.LOWER, (targets or {}).get(name)): _ranked(
            ordered, share
        )
        for name, share in SHARES.items()
    }


def _ranked(ordered: Sequence[float], share: float) -> float:
    assert ordered, "a percentile of nothing"
    # 0.999 of 1,000 is 999.0000000000001 in floating point, and is rank 999 all the same.
    rank = math.ceil(round(len(ordered) * share, 6))
    return ordered[max(rank, 1) - 1]


class NotProven(RuntimeError):
    """The server did not do the work that the load generator counted."""
