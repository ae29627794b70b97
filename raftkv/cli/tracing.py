"""Tracing of one process.

Owns: the tracer, when --enable-distributed-tracing asks for it, and what it is connected to. Must
never do: import OpenTelemetry otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time

from raftkv.server.member import Member
from raftkv.server.operations import TracingSettings
from raftkv.tracing.entries import EntryJourneys
from raftkv.tracing.otel import OtelSpans, open_spans
from raftkv.tracing.traced import Tracer, traced
from raftkv.wire.service import Service


class Tracing:
    """On the loop's thread. Raises ConfigError when OpenTelemetry is asked for and not there."""

    def __init__(self, member: Member, settings: TracingSettings | None) -> None:
        self._spans: OtelSpans | None = None
        self._tracer: Tracer | None = None
        if settings is None:
            return
        logging.getLogger("urllib3").setLevel(logging.INFO)  # a debug line for every batch sent
        self._spans = open_spans(settings, time.monotonic, member.member_id)
        entries = EntryJourneys(time.monotonic, member.member_id)
        self._tracer = Tracer(
            self._spans,
            entries,
            per_million=settings.per_million,
            chance=random.SystemRandom().random,
            soon=asyncio.get_running_loop().call_soon,
        )
        member.trace(entries)

    def traced(self, service: Service) -> Service:
        return service if self._tracer is None else traced(service, self._tracer)

    def close(self) -> None:
        if self._spans is not None:
            self._spans.close()
