"""Numbers of the last seconds, out of counters that only grow.

Owns: Rates and Latencies: samples taken when somebody asks, and their differences. Must never do:
measure: the member's own counters and histograms do, always.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from prometheus_client import Histogram

RATE_SPAN_S = 3.0
LATENCY_SPAN_S = 10.0
SAMPLE_S_MIN = 0.4
STALE_S = 5.0
"""After a pause this long what was sampled before it says nothing of now."""

Counts = tuple[float, ...]


class Window:
    """Samples of some counters over ``span_s``."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._samples: deque[tuple[float, Counts]] = deque()

    def add(self, now: float, counts: Counts) -> None:
        """Too soon after the last one it counts for nothing."""
        samples = self._samples
        if samples and now - samples[-1][0] > STALE_S:
            samples.clear()
        if samples and now - samples[-1][0] < SAMPLE_S_MIN:
            return
        samples.append((now, counts))
        while len(samples) > 2 and now - samples[1][0] >= self._span_s:
            samples.popleft()

    def grown(self) -> tuple[float, Counts]:
        """In how many seconds, and by how much each; 0 s while there is one sample."""
        if len(self._samples) < 2:
            return 0.0, ()
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        return ended - began, tuple(b - a for a, b in zip(first, last, strict=True))


class Rates:
    """Of some counters, per second."""

    def __init__(self) -> None:
        self._window = Window(RATE_SPAN_S)

    def add(self, now: float, counts: Counts) -> list[float]:
        """The rates by now; 0 until they can be told."""
        self._window.add(now, counts)
        seconds, grown = self._window.grown()
        if not seconds:
            return [0.0] * len(counts)
        return [round(max(count, 0.0) / seconds, 1) for count in grown]


class Latencies:
    """Quantiles of histograms over the last LATENCY_SPAN_S, by name."""

    def __init__(self, histograms: Mapping[str, Histogram]) -> None:
        self._histograms = histograms
        self._windows = {name: Window(LATENCY_SPAN_S) for name in histograms}
        self._bounds: dict[str, list[float]] = {}

    def sample(self, now: float) -> None:
        for name, histogram in self._histograms.items():
            bounds, counts = _buckets(histogram)
            self._bounds[name] = bounds
            self._windows[name].add(now, counts)

    def quantile_ms(self, name: str, share: float) -> float | None:
        """None when nothing was measured."""
        _, grown = self._windows[name].grown()
        if not grown or grown[-1] <= 0:
            return None
        return round(1000 * quantile(self._bounds[name], grown, share), 3)


def quantile(bounds: Sequence[float], cumulative: Sequence[float], share: float) -> float:
    """As Prometheus' histogram_quantile: linear within a bucket. The last bound is infinite."""
    rank = share * cumulative[-1]
    below = lower = 0.0
    for bound, count in zip(bounds, cumulative, strict=True):
        if count >= rank and count > below:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (rank - below) / (count - below)
        below, lower = count, bound
    return lower


def _buckets(histogram: Histogram) -> tuple[list[float], Counts]:
    """Upper bounds in seconds, and how many were at or below each."""
    bounds, counts = [], []
    for metric in histogram.collect():
        for sample in metric.samples:
            if sample.name.endswith("_bucket"):
                bounds.append(float(sample.labels["le"]))
                counts.append(float(sample.value))
    return bounds, tuple(counts)
