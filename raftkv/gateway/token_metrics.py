"""raftkv_auth_token_key_*: the keys of signed tokens, which follow their files.

Owns: these families. Must never do: read a file. etcd has no such metrics: it never looks again.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from raftkv.auth.jwt_key_files import JwtKeyFiles


class TokenMetrics(Collector):
    """Registers itself. ``files`` is None where tokens are simple."""

    def __init__(self, registry: CollectorRegistry, files: JwtKeyFiles | None) -> None:
        self._files = files
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        files = self._files
        yield CounterMetricFamily(
            "raftkv_auth_token_key_reloads",
            "How often changed keys of --auth-token=jwt were put in use.",
            value=0 if files is None else files.reloads,
        )
        yield CounterMetricFamily(
            "raftkv_auth_token_key_reload_failures",
            "How often changed keys could not be used: the old ones stayed.",
            value=0 if files is None else files.failures,
        )
