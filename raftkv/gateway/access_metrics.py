"""raftkv_access_log_*: how many lines the access log has, and how many it had no room for.

Owns: their names. Must never do: count; the outlet does.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from raftkv.access.outlet import LineOutlet


class AccessMetrics(Collector):
    """Registers itself. Without an ``outlet``, which is without an access log, both are 0."""

    def __init__(self, registry: CollectorRegistry, outlet: LineOutlet | None) -> None:
        self._outlet = outlet
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        outlet = self._outlet
        lines, lost = (0, 0) if outlet is None else (outlet.lines, outlet.dropped + outlet.failed)
        yield CounterMetricFamily("raftkv_access_log_lines", "Lines of the access log.", lines)
        yield CounterMetricFamily(
            "raftkv_access_log_dropped", "Lines that the access log had no room for.", lost
        )
