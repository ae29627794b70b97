"""grpc_server_*: what go-grpc-prometheus shows of etcd's calls, out of the wire's CallBook.

Owns: names, labels and the handling-time histogram of --metrics=extensive. Must never do: count;
the wire does. All methods are listed from the start, so that rates can be taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from raftkv.wire.calls import CallBook, MethodCounts
from raftkv.wire.grpc import CODE_NAMES

LABELS = ("grpc_type", "grpc_service", "grpc_method")
_BIDI = frozenset((("etcdserverpb.Watch", "Watch"), ("etcdserverpb.Lease", "LeaseKeepAlive")))
# grpc-go's own.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def labels_of(service: str, method: str, *, is_stream: bool) -> tuple[str, str, str]:
    kind = "unary"
    if is_stream:
        kind = "bidi_stream" if (service, method) in _BIDI else "server_stream"
    return kind, service, method


class CallMetrics(Collector):
    """Registers itself. ``observer_of`` is for the CallBook that it then shows."""

    def __init__(self, registry: CollectorRegistry, *, extensive: bool) -> None:
        self._book: CallBook | None = None
        self._seconds: Histogram | None = None
        if extensive:
            self._seconds = Histogram(
                "grpc_server_handling_seconds",
                "How long calls took until they were answered.",
                LABELS,
                registry=registry,
                buckets=_BUCKETS,
            )
        registry.register(self)

    def show(self, book: CallBook) -> None:
        self._book = book

    def observer_of(
        self, service: str, method: str, is_stream: bool
    ) -> Callable[[float], None] | None:
        if self._seconds is None:
            return None
        labels = labels_of(service, method, is_stream=is_stream)
        observe: Callable[[float], None] = self._seconds.labels(*labels).observe
        return observe

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        methods = self._book.methods if self._book is not None else []
        yield _family("grpc_server_started", "Calls that began.", methods, lambda m: m.started)
        yield _family(
            "grpc_server_msg_received",
            "Messages that came.",
            methods,
            lambda m: m.messages_received,
        )
        yield _family("grpc_server_msg_sent", "Messages sent.", methods, lambda m: m.messages_sent)
        text = "Calls that are over, whatever came of them."
        handled = CounterMetricFamily("grpc_server_handled", text, labels=[*LABELS, "grpc_code"])
        for counts in methods:
            labels = labels_of(counts.service, counts.method, is_stream=counts.is_stream)
            for code, number in counts.codes.items():
                handled.add_metric([*labels, CODE_NAMES[code]], number)
        yield handled


def _family(
    name: str, text: str, methods: list[MethodCounts], value: Callable[[MethodCounts], int]
) -> Metric:
    family = CounterMetricFamily(name, text, labels=LABELS)
    for counts in methods:
        labels = labels_of(counts.service, counts.method, is_stream=counts.is_stream)
        family.add_metric(labels, value(counts))
    return family
