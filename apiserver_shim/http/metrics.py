"""/metrics: what the shim tells of itself, under the names a real apiserver uses.

Owns: the counters and what is read off when somebody asks. Must never do: take a label from a
client: resources are those that are served.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apiserver_shim.api.answer import TextAnswer
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.http.in_flight import InFlight
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.store.mirror import Mirror

_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 15, 30, 60)
_LABELS = ("verb", "group", "version", "resource", "subresource", "scope")
_VERBS = {
    "get": "GET",
    "list": "LIST",
    "watch": "WATCH",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETECOLLECTION",
}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Labels = tuple[str, str, str, str, str, str]


def labels_of(target: Target | None, method: str) -> Labels:
    """Of what is no resource only the method is told."""
    if target is None:
        return (method if method in _METHODS else "OTHER", "", "", "", "", "")
    resource = target.resource
    scope = "resource" if target.name else "namespace" if target.namespace else "cluster"
    verb = _VERBS[target.verb]
    return (verb, resource.group, resource.version, resource.plural, target.subresource, scope)


class Metrics:
    """One shim's."""

    def __init__(self, mirror: Mirror, catalogue: Catalogue, in_flight: InFlight) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "apiserver_request",
            "Requests, by what was asked and the answer's code.",
            (*_LABELS, "code"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "apiserver_request_duration_seconds",
            "From a request's first byte to its answer's last; not of what runs long.",
            _LABELS,
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._long_running = Gauge(
            "apiserver_longrunning_requests",
            "Watches and log streams that are open.",
            _LABELS,
            registry=self.registry,
        )
        self._store = Histogram(
            "etcd_request_duration_seconds",
            "Requests to the store.",
            ("operation",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        # As many as there are labels: looked up here they cost a tenth of what the library takes.
        self._of_code: dict[tuple[Labels, int], tuple[Counter, Histogram]] = {}
        self._of_operation: dict[str, Histogram] = {}
        self.registry.register(_Reading(mirror, catalogue, in_flight))

    def count(self, labels: Labels, code: int, seconds: float | None) -> None:
        """``seconds`` is None for what runs long."""
        found = self._of_code.get((labels, code))
        if found is None:
            found = (self._requests.labels(*labels, str(code)), self._seconds.labels(*labels))
            self._of_code[labels, code] = found
        found[0].inc()
        if seconds is not None:
            found[1].observe(seconds)

    @contextmanager
    def long_running(self, labels: Labels) -> Iterator[None]:
        gauge = self._long_running.labels(*labels)
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    def observe_store(self, operation: str, seconds: float) -> None:
        found = self._of_operation.get(operation)
        if found is None:
            found = self._of_operation[operation] = self._store.labels(operation)
        found.observe(seconds)

    async def answer(self, request: ApiRequest) -> TextAnswer:
        """In the text format of version 0.0.4."""
        return TextAnswer(200, generate_latest(self.registry), CONTENT_TYPE_LATEST)


class _Reading(Collector):
    """What is counted elsewhere anyway."""

    def __init__(self, mirror: Mirror, catalogue: Catalogue, in_flight: InFlight) -> None:
        self._mirror = mirror
        self._catalogue = catalogue
        self._in_flight = in_flight

    def collect(self) -> Iterator[Metric]:
        requests = GaugeMetricFamily(
            "apiserver_current_inflight_requests",
            "Requests that are being answered.",
            labels=["request_kind"],
        )
        for kind, count in self._in_flight.counts.items():
            requests.add_metric([kind], count)
        yield requests
        objects = GaugeMetricFamily(
            "apiserver_storage_objects", "Objects in the store.", labels=["resource"]
        )
        watchers = GaugeMetricFamily(
            "apiserver_registered_watchers", "Watches, by resource.", labels=["resource"]
        )
        if self._mirror.is_ready:
            for resource in self._catalogue:
                if "list" in resource.verbs:
                    collection = self._mirror.collection(resource.prefix)
                    objects.add_metric([resource.qualified], len(collection))
                    watchers.add_metric([resource.qualified], collection.watchers)
        yield objects
        yield watchers
