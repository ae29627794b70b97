"""How long a container that keeps ending waits before it is started again.

Owns: that figure. Must never do: wait itself. The rule is a real kubelet's: the first restart comes
at once; then 10 s after the last end, doubling to 5 minutes; anew after twice that in peace.
"""

from __future__ import annotations

from dataclasses import dataclass

BASE_S, MAX_S = 10.0, 300.0


@dataclass(slots=True)
class BackOff:
    """Times are seconds of a monotonic clock."""

    base_s: float = BASE_S
    max_s: float = MAX_S
    delay_s: float = 0.0
    _updated: float = 0.0

    def wait_s(self, ended: float, now: float) -> float:
        """How long until what ``ended`` may start again."""
        if ended - self._updated > 2 * self.max_s:
            self.delay_s = 0.0
        return max(ended + self.delay_s - now, 0.0)

    def restarted(self, now: float) -> None:
        self.delay_s = min(max(self.delay_s * 2, self.base_s), self.max_s)
        self._updated = now
