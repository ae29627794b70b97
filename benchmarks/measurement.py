"""What a piece of work is and what it measures.

Owns: Metric, Measurement and the Work protocol. Must never do: run anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from tests.e2e.cluster import Cluster


class Better(Enum):
    """Which way a metric improves; it decides which way round the ratio is taken."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure's name and unit. ``target`` is the ratio that DESIGN's table asks for, if any."""

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
    assert values, "a percentile of nothing"
    rank = math.ceil(len(values) * share)
    return sorted(values)[max(rank, 1) - 1]


class NotProven(RuntimeError):
    """The server did not do the work that the load generator counted."""
