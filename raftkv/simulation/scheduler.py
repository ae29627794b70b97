"""Virtual time: a queue of callbacks that run in order of their time, then of their arrival.

Owns: VirtualScheduler, the world's clock. Must never do: read a real clock, or start a thread.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from raftkv.scheduler import Timer


class _Event:
    __slots__ = ("at", "callback", "cancelled", "order")

    def __init__(self, at: float, order: int, callback: Callable[[], None]) -> None:
        self.at = at
        self.order = order
        self.callback = callback
        self.cancelled = False

    def __lt__(self, other: _Event) -> bool:
        return (self.at, self.order) < (other.at, other.order)

    def cancel(self) -> None:
        self.cancelled = True


class VirtualScheduler:
    """``Scheduler`` whose clock moves only when a later event is due. ``events`` counts the
    callbacks that ran."""

    def __init__(self) -> None:
        self._now = 0.0
        self._order = 0
        self._events: list[_Event] = []
        self.events = 0

    def now(self) -> float:
        return self._now

    def call_soon(self, callback: Callable[[], None], /) -> None:
        self.call_later(0.0, callback)

    def call_later(self, delay_s: float, callback: Callable[[], None], /) -> Timer:
        assert delay_s >= 0, delay_s
        self._order += 1
        event = _Event(self._now + delay_s, self._order, callback)
        heapq.heappush(self._events, event)
        return event

    def step(self) -> bool:
        """Run the next event; False when there is none."""
        while self._events:
            event = heapq.heappop(self._events)
            if not event.cancelled:
                self._now = max(self._now, event.at)
                self.events += 1
                event.callback()
                return True
        return False

    def run_until(self, condition: Callable[[], bool], *, within_s: float) -> bool:
        """Run events until ``condition`` holds; False if it does not within virtual seconds."""
        deadline = self._now + within_s
        while not condition():
            if not self._events or self._events[0].at > deadline:
                return False
            self.step()
        return True

    def run_for(self, seconds: float) -> None:
        deadline = self._now + seconds
        while self._events and self._events[0].at <= deadline:
            self.step()
        self._now = max(self._now, deadline)
