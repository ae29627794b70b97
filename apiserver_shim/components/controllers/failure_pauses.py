"""Pauses between a failed pod and the next in its place: at once, then 1, 2, 4 ... seconds.

Owns: how often what has failed. Must never do: wait; who asks is told how long.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from apiserver_shim.components.clocks import Clock

AGAIN_S_MIN, AGAIN_S_MAX = 1.0, 900.0
DOUBLINGS_MAX = 20
REMEMBERED_MAX = 10_000
"""Places whose failures are remembered; the longest unchanged is forgotten first."""


class FailurePauses:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def seconds_left(self, place: Hashable) -> float:
        """0 when the failed one may be replaced, which counts as its replacement. After twice the
        longest pause without a failure all begins anew."""
        now = self._clock.monotonic()
        count, until = self._failures.get(place, (0, now))
        if now < until:
            return until - now
        if now - until > 2 * AGAIN_S_MAX:
            count = 0
        pause = min(AGAIN_S_MIN * 2**count, AGAIN_S_MAX)
        self._failures[place] = (min(count + 1, DOUBLINGS_MAX), now + pause)
        self._failures.move_to_end(place)
        while len(self._failures) > REMEMBERED_MAX:
            self._failures.popitem(last=False)
        return 0.0
