"""Which watchers a key concerns.

Owns: single keys by dictionary, ranges by the segments between their bounds. Must never do: look
at every watcher for an event: with n distinct ranges a look-up is one bisection.

The bounds of all ranges cut the key space into segments, and each segment lists the ranges that
cover it. Adding a range cuts at most two segments and touches those inside it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import chain

from raftkv.mvcc.cohort import Audience, Cohort
from raftkv.mvcc.watcher import Watcher

FROM_KEY = b"\0"
Range = tuple[bytes, bytes]


class WatcherIndex:
    def __init__(self) -> None:
        self._keys: dict[bytes, Audience] = {}
        self._ranges: dict[Range, Audience] = {}
        self._bounds: list[bytes] = [b""]  # where each segment begins
        self._uses: dict[bytes, int] = {b"": 1}
        self._covering: list[list[Audience]] = [[]]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, watcher: Watcher, first_revision: int) -> None:
        """``first_revision`` as in ``Audience.add``."""
        key, end = watcher.spec.key, watcher.spec.range_end
        if not end:
            audience = self._keys.get(key)
            if audience is None:
                audience = self._keys[key] = Audience(key, b"")
        else:
            audience = self._ranges.get((key, end)) or self._add_range((key, end))
        audience.add(watcher, first_revision)
        self._count += 1

    def remove(self, watcher: Watcher) -> None:
        """What its cohort alone knows of its position is lost."""
        cohort = watcher.cohort
        assert cohort is not None, watcher.spec
        cohort.remove(watcher)
        self._count -= 1
        audience = cohort.audience
        if not audience.cohorts and audience.range_end:
            self._remove_range((audience.key, audience.range_end))
        elif not audience.cohorts:
            del self._keys[audience.key]

    def match(self, key: bytes) -> list[Audience]:
        """Whose key or range ``key`` is in: a new list, safe against changes."""
        found: list[Audience] = []
        exact = self._keys.get(key)
        if exact is not None:
            found.append(exact)
        if self._ranges:
            found += self._covering[bisect_right(self._bounds, key) - 1]
        return found

    def each_cohort(self) -> Iterator[Cohort]:
        """As long as none comes or goes."""
        for audience in chain(self._keys.values(), self._ranges.values()):
            yield from audience.cohorts.values()

    def cohorts(self) -> list[Cohort]:
        return list(self.each_cohort())

    def watchers(self) -> list[Watcher]:
        return [watcher for cohort in self.cohorts() for watcher in cohort.watchers]

    def _add_range(self, range_: Range) -> Audience:
        audience = self._ranges[range_] = Audience(*range_)
        first, last = self._segments(range_, cut=True)
        for segment in range(first, last):
            self._covering[segment].append(audience)
        return audience

    def _remove_range(self, range_: Range) -> None:
        audience = self._ranges.pop(range_)
        first, last = self._segments(range_, cut=False)
        for segment in range(first, last):
            self._covering[segment].remove(audience)
        for bound in _bounds_of(range_):
            self._forget_bound(bound)

    def _segments(self, range_: Range, *, cut: bool) -> tuple[int, int]:
        """The segments that make up a range, as [first, last)."""
        start, end = range_
        if cut:
            for bound in _bounds_of(range_):
                self._cut_at(bound)
        first = bisect_left(self._bounds, start)
        last = len(self._bounds) if end == FROM_KEY else bisect_left(self._bounds, end)
        return first, last

    def _cut_at(self, bound: bytes) -> None:
        self._uses[bound] = self._uses.get(bound, 0) + 1
        at = bisect_left(self._bounds, bound)
        if at == len(self._bounds) or self._bounds[at] != bound:
            self._bounds.insert(at, bound)
            self._covering.insert(at, list(self._covering[at - 1]))

    def _forget_bound(self, bound: bytes) -> None:
        self._uses[bound] -= 1
        if not self._uses[bound]:
            del self._uses[bound]
            at = bisect_left(self._bounds, bound)
            # No range begins or ends here any more: both sides are covered alike.
            del self._bounds[at]
            del self._covering[at]


def _bounds_of(range_: Range) -> tuple[bytes, ...]:
    start, end = range_
    return (start,) if end == FROM_KEY else (start, end)
