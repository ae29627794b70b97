"""How many keys follow each page of a list: they are counted once, not for every page.

Owns: a bounded memory of counts, each of a range at a revision, where its next page begins. Must
never do: hold a count of a state that may still change: at a revision that has happened it cannot.
"""

from __future__ import annotations

TAILS_MAX = 256
KEY_BYTES_MAX = 1_024
"""Of a remembered key: at most half a megabyte of keys is held."""

_Tail = tuple[int, bytes, bytes]


class RangeTails:
    def __init__(self) -> None:
        self._counts: dict[_Tail, int] = {}

    def clear(self) -> None:
        self._counts.clear()

    def get(self, at: int, key: bytes, range_end: bytes) -> int | None:
        """The number of keys of [key, range_end) at revision ``at``, None for unknown."""
        return self._counts.get((at, key, range_end))

    def keep(self, at: int, key: bytes, range_end: bytes, count: int) -> None:
        if max(len(key), len(range_end)) > KEY_BYTES_MAX:
            return
        tail = (at, key, range_end)
        self._counts.pop(tail, None)
        self._counts[tail] = count
        if len(self._counts) > TAILS_MAX:
            del self._counts[next(iter(self._counts))]
