"""OpenTelemetry's side of tracing: spans with their ids, on their way to a collector.

Owns: OtelSpans, and the one place that imports OpenTelemetry, whose packages are optional. Must
never do: wait: spans are queued, within SPANS_WAITING_MAX, and a thread of the SDK sends them by
OTLP over HTTP; what finds no room is lost, and the SDK logs that.
The SDK reads its own variables too: OTEL_EXPORTER_OTLP_HEADERS for a token, say.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from raftkv import __version__
from raftkv.errors import ConfigError
from raftkv.server.operations import TracingSettings
from raftkv.tracing.journey import Attributes
from raftkv.wire.grpc import CODE_NAMES, OK
from raftkv.wire.service import Status, UnaryCall

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

SPANS_WAITING_MAX = 8_192
SPANS_AT_ONCE_MAX = 512
SEND_EVERY_S = 1.0
SEND_WITHIN_S = 10.0
CLOSE_WITHIN_S = 2.0
MISSING = (
    "--enable-distributed-tracing needs OpenTelemetry, which is not installed: "
    "pip install 'raftkv[otel]'"
)


def open_spans(settings: TracingSettings, clock: Callable[[], float], member_id: int) -> OtelSpans:
    """Raises ConfigError without the packages. Nothing is sent before the first span."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    except ImportError:
        raise ConfigError(MISSING) from None
    provider = TracerProvider(
        sampler=ALWAYS_ON,  # which calls are traced is decided before
        resource=Resource.create(
            {
                "service.name": settings.service_name,
                "service.instance.id": settings.instance_id,
                "service.version": __version__,
                "raftkv.member_id": f"{member_id:x}",
            }
        ),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            OTLPSpanExporter(endpoint=settings.url, timeout=SEND_WITHIN_S),
            max_queue_size=SPANS_WAITING_MAX,
            schedule_delay_millis=1000 * SEND_EVERY_S,
            max_export_batch_size=SPANS_AT_ONCE_MAX,
        )
    )
    return OtelSpans(provider, clock)


class OtelSpans:
    """Implements ``traced.Spans``. ``clock`` is the one of the times that spans are given."""

    def __init__(self, provider: TracerProvider, clock: Callable[[], float]) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._api = trace
        self._provider = provider
        self._clock = clock
        self._tracer = provider.get_tracer("raftkv", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def begin(
        self, service: str, method: str, call: UnaryCall, began: float, *, by_chance: bool
    ) -> OtelTelling | None:
        context = self._propagator.extract(call.metadata)
        parent = self._api.get_current_span(context).get_span_context()
        if not (parent.trace_flags.sampled if parent.is_valid else by_chance):
            return None
        zero_ns = time.time_ns() - int(1e9 * self._clock())
        span = self._tracer.start_span(
            f"{service}/{method}",
            context=context,
            kind=self._api.SpanKind.SERVER,
            start_time=zero_ns + int(1e9 * began),
            attributes={
                "rpc.system": "grpc",
                "rpc.service": service,
                "rpc.method": method,
                "network.peer.address": call.peer,
            },
        )
        return OtelTelling(self, span, zero_ns)

    def child(
        self, parent: Span, name: str, began_ns: int, ended_ns: int, more: Attributes
    ) -> None:
        context = self._api.set_span_in_context(parent)
        span = self._tracer.start_span(name, context=context, start_time=began_ns, attributes=more)
        span.end(ended_ns)

    def failed(self, span: Span, text: str) -> None:
        span.set_status(self._api.Status(self._api.StatusCode.ERROR, text))

    def flush(self) -> None:
        """Send what waits. Blocks."""
        self._provider.force_flush()

    def close(self) -> None:
        """Send what waits, for CLOSE_WITHIN_S at most: a collector may be away."""
        closing = threading.Thread(target=self._provider.shutdown, name="spans", daemon=True)
        closing.start()
        closing.join(CLOSE_WITHIN_S)


class OtelTelling:
    """Implements ``journey.Telling``."""

    __slots__ = ("_span", "_spans", "_zero_ns")

    def __init__(self, spans: OtelSpans, span: Span, zero_ns: int) -> None:
        self._spans = spans
        self._span = span
        self._zero_ns = zero_ns

    def child(self, name: str, began: float, ended: float, attributes: Attributes) -> None:
        self._spans.child(self._span, name, self._ns(began), self._ns(ended), attributes)

    def end(self, ended: float, status: Status, attributes: Attributes) -> None:
        self._span.set_attributes({**attributes, "rpc.grpc.status_code": status.code})
        if status.code != OK:
            self._spans.failed(self._span, f"{CODE_NAMES[status.code]}: {status.message}")
        self._span.end(self._ns(ended))

    def _ns(self, seconds: float) -> int:
        return self._zero_ns + int(1e9 * seconds)
