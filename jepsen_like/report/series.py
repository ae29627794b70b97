"""Rates and latencies over time, in bins of a round width.

Owns: the binning. Calls are counted in the bin in which they ended. Percentiles are of answered
calls only, by nearest rank: a figure that was really measured. Must never do: draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from jepsen_like.history.operation import Operation
from jepsen_like.report.wording import Standing, standing

TABLE_BINS_MAX = 30
CHART_BINS_MIN = 30
CHART_BINS_MAX = 150
BIN_CALLS_MIN = 20


@dataclass(slots=True)
class Bin:
    """``latencies_s`` are sorted, of answered calls."""

    begin_s: float
    counts: dict[Standing, int] = field(default_factory=lambda: dict.fromkeys(Standing, 0))
    latencies_s: list[float] = field(default_factory=list)

    def percentile_s(self, percent: float) -> float | None:
        return percentile(self.latencies_s, percent)


@dataclass(frozen=True, slots=True)
class Series:
    """The last bin ends with the run: it is half to one and a half times as long as the others."""

    width_s: float
    span_s: float
    bins: tuple[Bin, ...]

    def rate(self, index: int, kind: Standing) -> float:
        """Calls per second."""
        is_last = index == len(self.bins) - 1
        length_s = self.span_s - self.bins[index].begin_s if is_last else self.width_s
        return self.bins[index].counts[kind] / (length_s or self.width_s)


def round_width_s(span_s: float, bins_max: int) -> float:
    """The smallest 1, 2 or 5 times a power of ten that needs at most ``bins_max`` bins."""
    least = span_s / bins_max
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    factor = next(f for f in (1, 2, 5, 10, 20) if f * power >= least * (1 - 1e-9))
    return factor * power


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """Nearest rank: the smallest value with at least ``percent`` of all at or below it."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def chart_bins(calls: int) -> int:
    """So many that a bin has enough calls for a percentile to mean something."""
    return max(CHART_BINS_MIN, min(CHART_BINS_MAX, calls // BIN_CALLS_MIN))


def series(
    operations: Sequence[Operation], origin_s: float, span_s: float, bins_max: int
) -> Series:
    """``origin_s`` is the begin of the run on the history's clock; bins begin from 0."""
    width_s = round_width_s(span_s, bins_max)
    # A last bin of a sliver would show any rate: it joins the one before.
    number = max(1, math.floor(span_s / width_s + 0.5))
    bins = tuple(Bin(index * width_s) for index in range(number))
    for operation in operations:
        at_s = operation.returned_s - origin_s
        place = bins[min(number - 1, max(0, int(at_s / width_s)))]
        kind = standing(operation.outcome)
        place.counts[kind] += 1
        if kind is Standing.ANSWERED:
            place.latencies_s.append(operation.returned_s - operation.called_s)
    for place in bins:
        place.latencies_s.sort()
    return Series(width_s, span_s, bins)
