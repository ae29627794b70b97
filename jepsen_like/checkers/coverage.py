"""Which revisions of a key the watches of a history say they told in full.

Owns: Coverage. A watch that delivered an event, or progress, promised everything in its range from
its start up to there. Must never do: take the promise for true; a judge uses it to guess better.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from jepsen_like.history.operation import Watch
from jepsen_like.model.keyspace import covers

_Interval = tuple[int, int]  # first and last revision, both included


class Coverage:
    def __init__(self, watches: Iterable[Watch]) -> None:
        self._of_range: dict[tuple[str, str], list[_Interval]] = {}
        self._of_key: dict[str, list[_Interval]] = {}
        for watch in watches:
            interval = _told(watch)
            if interval is not None:
                self._of_range.setdefault((watch.key, watch.end), []).append(interval)

    def told(self, key: str, revision: int) -> bool:
        """Whether some watch would have told if ``revision`` had changed ``key``."""
        intervals = self._of_key.get(key)
        if intervals is None:
            intervals = self._of_key[key] = _merged(
                interval
                for (first, end), found in self._of_range.items()
                if covers(first, end, key)
                for interval in found
            )
        index = bisect_right(intervals, (revision, revision)) - 1
        return any(
            first <= revision <= last for first, last in intervals[max(0, index) : index + 2]
        )


def _told(watch: Watch) -> _Interval | None:
    """A last response that was a fragment may lack the rest of its last revision."""
    start, last = watch.start_revision, 0
    for response in watch.responses:
        if response.created and not start:
            start = response.revision + 1
        if response.events:
            newest = response.events[-1].kv.mod_revision
            last = max(last, newest - response.fragment)
        elif not response.created and not response.canceled:
            last = max(last, response.revision)
    return (start, last) if 0 < start <= last else None


def _merged(intervals: Iterable[_Interval]) -> list[_Interval]:
    merged: list[_Interval] = []
    for first, last in sorted(intervals):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
