"""Ids by the time at which they fall due, where that time keeps moving away.

Owns: DueHeap. Must never do: look at what is not due. An id is put in once; when its entry falls
due, ``due_of`` says when it really is, and the entry goes back if that is later.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

_ENTRIES_MIN = 1_000
"""A heap of up to so many entries is not worth cleaning."""


class DueHeap:
    """``due_of`` gives None for an id that is wanted no more. ``looked_at`` counts the work."""

    def __init__(self, due_of: Callable[[int], float | None]) -> None:
        self._due_of = due_of
        self._heap: list[tuple[float, int]] = []
        self._clean_at = _ENTRIES_MIN
        self.looked_at = 0

    def __len__(self) -> int:
        return len(self._heap)

    def fill(self, ids: Iterable[int]) -> None:
        """Start with these."""
        self._heap = [(due, each) for each in ids if (due := self._due_of(each)) is not None]
        heapq.heapify(self._heap)
        self._clean_at = max(_ENTRIES_MIN, 2 * len(self._heap))

    def add(self, each: int) -> None:
        due = self._due_of(each)
        assert due is not None, f"{each:x} is never due"
        heapq.heappush(self._heap, (due, each))
        if len(self._heap) > self._clean_at:
            self.fill({each for _, each in self._heap})

    def take(self, now: float, count_max: int) -> list[int]:
        """Take out what is due, at most ``count_max`` ids, each once."""
        taken: dict[int, None] = {}
        heap = self._heap
        while heap and heap[0][0] <= now and len(taken) < count_max:
            self.looked_at += 1
            _, each = heapq.heappop(heap)
            due = self._due_of(each)
            if due is None or each in taken:
                continue
            if due <= now:
                taken[each] = None
            else:
                heapq.heappush(heap, (due, each))
        return list(taken)
