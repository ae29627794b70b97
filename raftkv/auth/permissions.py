"""What keys a user may read and write, as intervals.

Owns: KeyRanges (a set of keys given as single keys, half-open and open-ended ranges) and the
Permissions that several roles add up to. Must never do: know users or requests.

etcd: a request's range is allowed if the *union* of what was granted covers all of it, so [a, c) is
covered by [a, b) with [b, c), and only an open-ended permission covers an open-ended range.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter

OPEN_END = b"\x00"
"""As a range_end: every key from the first on."""

_Interval = tuple[bytes, bytes | None]
"""Half-open; None stands for no end."""


class KeyRanges:
    """Immutable. Sorted intervals without overlaps, touching ones joined."""

    __slots__ = ("_intervals",)

    def __init__(self, ranges: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """``ranges``: pairs of key and range_end, as requests have them."""
        self._intervals = _merged(_interval(key, range_end) for key, range_end in ranges)

    def covers(self, key: bytes, range_end: bytes) -> bool:
        """Whether every key of the range is in the set. A range that ends before it begins holds
        no key; it is covered where its first key is."""
        at = bisect_right(self._intervals, key, key=itemgetter(0)) - 1
        if at < 0:
            return False
        end = self._intervals[at][1]
        if end is None:
            return True
        if range_end == OPEN_END:
            return False
        return key < end and (range_end or key) <= end


def _interval(key: bytes, range_end: bytes) -> _Interval:
    if not range_end:
        return key, key + b"\x00"  # nothing sorts between the two
    return key, None if range_end == OPEN_END else range_end


def _merged(intervals: Iterable[_Interval]) -> list[_Interval]:
    merged: list[_Interval] = []
    for start, end in sorted(intervals, key=itemgetter(0)):
        if end is not None and end <= start:
            continue
        if merged:
            first, last = merged[-1]
            if last is None:
                break
            if start <= last:
                merged[-1] = first, None if end is None else max(last, end)
                continue
        merged.append((start, end))
    return merged


@dataclass(frozen=True, slots=True)
class Permissions:
    """What all roles of one user allow together."""

    read: KeyRanges
    write: KeyRanges
