"""What came of the calls, per method: plain numbers that somebody reads now and then.

Owns: CallBook, shared by all listeners of a process, and one MethodCounts per method. Must never
do: know metrics or logs; whoever makes the book reads it, and says what a slow call is and what to
do about it. A call costs two additions and one look at the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from raftkv.wire.grpc import OK

NEVER_S = float("inf")


@dataclass(frozen=True, slots=True)
class SlowCall:
    """A unary call that took longer than it should. ``response_bytes`` is 0 for a refusal."""

    path: str
    peer: str
    seconds: float
    code: int
    response_bytes: int


ObserverOf = Callable[[str, str, bool], Callable[[float], None] | None]
"""Service, method and whether it is a stream, to who is told how long each call took."""


def _nobody_minds(call: SlowCall) -> None: ...


def _nobody_observes(service: str, method: str, is_stream: bool) -> None: ...


@dataclass(slots=True, eq=False)
class MethodCounts:
    """``codes`` is calls that are over, by gRPC code; the rest of ``started`` is under way."""

    service: str
    method: str
    is_stream: bool
    book: CallBook
    started: int = 0
    ok: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    stream_messages_received: int = 0
    stream_messages_sent: int = 0
    observe: Callable[[float], None] | None = None

    @property
    def codes(self) -> dict[int, int]:
        return {OK: self.ok, **self.refused}

    @property
    def messages_received(self) -> int:
        return self.stream_messages_received if self.is_stream else self.started

    @property
    def messages_sent(self) -> int:
        return self.stream_messages_sent if self.is_stream else self.ok

    def answered(self, code: int, began: float, peer: str, response_bytes: int) -> None:
        """A call that began at ``began`` of the book's clock is over."""
        if code == OK:
            self.ok += 1
        else:
            self.refused[code] = self.refused.get(code, 0) + 1
        book = self.book
        seconds = book.clock() - began
        if seconds < book.slow_seconds and self.observe is None:
            return
        if seconds >= book.slow_seconds and not self.is_stream:
            path = f"/{self.service}/{self.method}"
            book.on_slow(SlowCall(path, peer, seconds, code, response_bytes))
        if self.observe is not None:
            self.observe(seconds)


class CallBook:
    """``clock`` is the one by which connections are told what time it is."""

    def __init__(
        self,
        clock: Callable[[], float] = lambda: 0.0,
        slow_seconds: float = NEVER_S,
        on_slow: Callable[[SlowCall], None] = _nobody_minds,
        observer_of: ObserverOf = _nobody_observes,
    ) -> None:
        self.clock = clock
        self.slow_seconds = slow_seconds
        self.on_slow = on_slow
        self._observer_of = observer_of
        self._methods: dict[tuple[str, str], MethodCounts] = {}

    def counts(self, service: str, method: str, *, is_stream: bool) -> MethodCounts:
        """Those of one method, whoever asks."""
        key = (service, method)
        if key not in self._methods:
            counts = MethodCounts(service, method, is_stream, self)
            counts.observe = self._observer_of(service, method, is_stream)
            self._methods[key] = counts
        return self._methods[key]

    @property
    def methods(self) -> list[MethodCounts]:
        return list(self._methods.values())
