"""What a load generator did: calls, time, latencies, and how busy it was itself.

Owns: Load and the stopwatch of the generator's own CPU time. Must never do: generate load.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.measurement import Better, Metric, latencies

CONNECTIONS_MAX = 100
"""Beyond it clients share connections, ten streams each at 1000: as etcd's own benchmark does."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of a generator did. Latencies are in milliseconds, one of each call."""

    requests: int
    seconds: float
    latencies_ms: Sequence[float]
    body_bytes: int = 0
    cpu_seconds: float = 0.0
    warm_up: int = 0
    """Requests before the clock started; the server did them too."""

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def busy(self) -> float:
        """Of one core, what the generator used itself: near 1 it may be what was measured."""
        return self.cpu_seconds / self.seconds

    def figures(self, target: float | None = None) -> dict[Metric, float]:
        """Throughput and latencies; where the throughput has a target, p99 may be no worse."""
        return {
            Metric("throughput", "1/s", Better.HIGHER, target): self.per_second,
            **latencies(self.latencies_ms, targets={"p99": 1.0} if target else None),
        }

    def facts(self) -> dict[str, float | str]:
        return {"requests": self.requests, "generator_busy": round(self.busy, 3)}


@dataclass(slots=True)
class Stopwatch:
    """Wall time and CPU time since it was made: of this process, or of those it waited for."""

    of: int = resource.RUSAGE_SELF
    _began: float = field(default_factory=time.perf_counter)
    _used: float = field(init=False)

    def __post_init__(self) -> None:
        self._used = _cpu_seconds(self.of)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    @property
    def cpu_seconds(self) -> float:
        return _cpu_seconds(self.of) - self._used


def _cpu_seconds(of: int) -> float:
    used = resource.getrusage(of)
    return used.ru_utime + used.ru_stime
