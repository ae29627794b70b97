"""Services whose calls are traced, a share of them.

Owns: ``traced``, and which calls begin a journey. Must never do: touch a call that is not traced,
or change an answer. Streams are not traced: a span that lasts for days tells nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from raftkv.tracing.entries import EntryJourneys
from raftkv.tracing.journey import Journey, Telling
from raftkv.wire.grpc import CANCELLED, STATUS_OK
from raftkv.wire.passed_call import PassedCall
from raftkv.wire.service import Service, Status, UnaryCall, UnaryMethod

TRACEPARENT = "traceparent"
"""W3C Trace Context's name for it."""
OPEN_MAX = 10_000
"""Traced calls under way at once; further ones are not traced."""
GONE = Status(CANCELLED, "the client went away, or its deadline passed")
_MILLION = 1_000_000


class Spans(Protocol):
    def begin(
        self, service: str, method: str, call: UnaryCall, began: float, *, by_chance: bool
    ) -> Telling | None:
        """The span of a call, under the one that its metadata names; None if that is not sampled,
        or if there is none, and chance did not choose the call."""


class Tracer:
    """``chance`` draws from 0 to below 1; ``soon`` is the loop's call_soon, which comes after what
    was answered until then has been written."""

    def __init__(
        self,
        spans: Spans,
        entries: EntryJourneys,
        *,
        per_million: int,
        chance: Callable[[], float],
        soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self.entries = entries
        self.open = 0
        self._spans = spans
        self._share = per_million / _MILLION
        self._chance = chance
        self._soon = soon

    def begin(self, service: str, method: str, call: UnaryCall) -> Journey | None:
        by_chance = self._chance() < self._share
        if not by_chance and TRACEPARENT not in call.metadata:
            return None
        if self.open >= OPEN_MAX:
            return None
        began = self.entries.clock()
        telling = self._spans.begin(service, method, call, began, by_chance=by_chance)
        if telling is None:
            return None
        self.open += 1
        return Journey(telling, began)

    def answered(self, journey: Journey, status: Status) -> None:
        journey.answered = self.entries.clock()
        self._soon(lambda: self._end(journey, status))

    def _end(self, journey: Journey, status: Status) -> None:
        self.open -= 1
        journey.tell(self.entries.clock(), status)


def traced(service: Service, tracer: Tracer) -> Service:
    unary = {
        name: _traced_method(service, name, method, tracer)
        for name, method in service.unary.items()
    }
    return replace(service, unary=unary)


def _traced_method(service: Service, name: str, method: UnaryMethod, tracer: Tracer) -> UnaryMethod:
    entries, status_of = tracer.entries, service.status_of

    def serve(payload: bytes, call: UnaryCall) -> None:
        journey = tracer.begin(service.name, name, call)
        if journey is None:
            method(payload, call)
            return
        between = TracedCall(call, journey, tracer)
        call.when_cancelled(between.gone)
        entries.current = journey
        try:
            method(payload, between)
        except Exception as error:  # noqa: BLE001 - the service says what its errors mean
            between.fail(status_of(error))
        finally:
            entries.current = None

    return serve


class TracedCall(PassedCall):
    """``UnaryCall`` of a method; its answer ends the journey."""

    __slots__ = ("_is_over", "_journey", "_tracer")

    def __init__(self, call: UnaryCall, journey: Journey, tracer: Tracer) -> None:
        super().__init__(call)
        self._journey = journey
        self._tracer = tracer
        self._is_over = False

    def reply(self, message: bytes) -> None:
        self.call.reply(message)
        self._end(STATUS_OK)

    def reply_in_pieces(self, pieces: Sequence[bytes]) -> None:
        self.call.reply_in_pieces(pieces)
        self._end(STATUS_OK)

    def fail(self, status: Status) -> None:
        self.call.fail(status)
        self._end(status)

    def gone(self) -> None:
        """What its request does in the log is no part of the call any more."""
        self._end(GONE)
        if self.proceed is not None:
            self.proceed()

    def _end(self, status: Status) -> None:
        if not self._is_over:
            self._is_over = True
            self._tracer.answered(self._journey, status)
