"""A bound on how often something may be said.

Owns: one token bucket and the count of what was left out. Must never do: log.
"""

from __future__ import annotations

from collections.abc import Callable


class Ration:
    """``burst`` at once, then ``per_second``; ``time`` gives seconds."""

    def __init__(self, burst: int, per_second: float, time: Callable[[], float]) -> None:
        self._burst = burst
        self._per_second = per_second
        self._time = time
        self._left = float(burst)
        self._asked_at = time()
        self._unsaid = 0

    def ask(self) -> int | None:
        """None when it must not be said; else how often it was not, since it last was."""
        now = self._time()
        self._left = min(self._left + (now - self._asked_at) * self._per_second, self._burst)
        self._asked_at = now
        if self._left < 1:
            self._unsaid += 1
            return None
        self._left -= 1
        unsaid, self._unsaid = self._unsaid, 0
        return unsaid
