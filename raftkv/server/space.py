"""How large the database is, and whether a request still fits under the quota.

Owns: the sizes that Status tells and the quota's arithmetic. Must never do: refuse anything by
itself: what a full member does is ask the cluster, through the log, to raise NOSPACE.
The file is measured a few times a second; between two looks every admitted request adds its cost,
so that the edge is found without a system call per request.
"""

from __future__ import annotations

from collections.abc import Callable

from raftkv.backend.environment import Backend

QUOTA_DEFAULT_BYTES = 2 << 30
"""etcd's, for --quota-backend-bytes 0."""


class Space:
    """``is_open`` tells whether the loop may look into the backend; while a commit runs the last
    sizes are told. ``quota`` 0 is the default, below 0 is none."""

    def __init__(self, backend: Backend, quota: int, is_open: Callable[[], bool]) -> None:
        self._backend = backend
        self._is_open = is_open
        self.quota = QUOTA_DEFAULT_BYTES if quota == 0 else max(quota, 0)
        self._admitted = 0
        self.refresh()

    def refresh(self) -> None:
        """Measure anew, if that is possible now."""
        if self._is_open():
            self.size = self._backend.size
            self.size_in_use = self._backend.size_in_use
            self._admitted = 0

    @property
    def is_full(self) -> bool:
        """As of the last look."""
        return 0 < self.quota <= self.size

    def admit(self, cost: int) -> bool:
        """Whether a request of ``cost`` still fits. One that costs nothing always does."""
        if not self.quota or not cost:
            return True
        if self.size + self._admitted + cost >= self.quota:
            self.refresh()
            if self.size + self._admitted + cost >= self.quota:
                return False
        self._admitted += cost
        return True
