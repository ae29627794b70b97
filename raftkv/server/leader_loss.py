"""Streams that want a leader (metadata ``hasleader``), and the end of their patience.

Owns: how long no leader was known, and who is told when that is too long. Must never do: keep time:
the member's tick drives it, one count for all streams. etcd's rule: three election timeouts.
"""

from __future__ import annotations

from collections.abc import Callable

ELECTION_TIMEOUTS = 3


class LeaderLoss:
    def __init__(self, election_timeout_ticks: int) -> None:
        self._ticks_max = ELECTION_TIMEOUTS * election_timeout_ticks
        self._ticks = 0
        self._waiting: set[Callable[[], None]] = set()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def tell(self, lost: Callable[[], None]) -> None:
        """Call ``lost`` once, when no leader was known for too long; unless ``forget`` comes
        first."""
        self._waiting.add(lost)

    def forget(self, lost: Callable[[], None]) -> None:
        self._waiting.discard(lost)

    def tick(self, leader_id: int) -> None:
        """Once a tick of the member; ``leader_id`` 0 for none."""
        self._ticks = 0 if leader_id else self._ticks + 1
        if self._ticks >= self._ticks_max and self._waiting:
            told, self._waiting = self._waiting, set()
            for lost in told:
                lost()
