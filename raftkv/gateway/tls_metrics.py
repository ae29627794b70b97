"""raftkv_tls_*: the certificates of both ports, so that nobody is surprised by one that has ended.

Owns: these families. Must never do: read a file: it shows what the ports have in use. etcd has no
such metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from raftkv.tls.credentials import Credentials


class TlsMetrics(Collector):
    """Registers itself. ``ports`` are "client" and "peer"."""

    def __init__(self, registry: CollectorRegistry, ports: Mapping[str, Credentials]) -> None:
        self._ports = ports
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        expiry = GaugeMetricFamily(
            "raftkv_tls_certificate_expiry_timestamp_seconds",
            "When the first certificate of a file ends to be valid, in seconds since 1970.",
            labels=["port", "file"],
        )
        reloads = CounterMetricFamily(
            "raftkv_tls_reloads", "How often changed files were put in use.", labels=["port"]
        )
        failures = CounterMetricFamily(
            "raftkv_tls_reload_failures",
            "How often changed files could not be used: the old ones stayed.",
            labels=["port"],
        )
        dismissed = CounterMetricFamily(
            "raftkv_tls_dismissed_connections",
            "Open connections ended since their certificate is no longer trusted.",
            labels=["port"],
        )
        for port, credentials in self._ports.items():
            for each in credentials.expiries:
                expiry.add_metric([port, each.file], each.not_after.timestamp())
            reloads.add_metric([port], credentials.reloads)
            failures.add_metric([port], credentials.failures)
            dismissed.add_metric([port], credentials.connections.dismissed)
        yield from (expiry, reloads, failures, dismissed)
