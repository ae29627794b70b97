"""Which watchers a key concerns.

Owns: single keys by dictionary, ranges by the segments between their bounds. Must never do: look
at every watcher for an event: with n distinct ranges a look-up is one bisection.

The bounds of all ranges cut the key space into segments, and each segment lists the ranges that
cover it. Adding a range cuts at most two segments and touches those inside it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from raftkv.mvcc.watcher import Watcher

FROM_KEY = b"\0"
Range = tuple[bytes, bytes]


class WatcherIndex:
    def __init__(self) -> None:
        self._keys: dict[bytes, dict[Watcher, None]] = {}
        self._ranges: dict[Range, dict[Watcher, None]] = {}
        self._bounds: list[bytes] = [b""]  # where each segment begins
        self._uses: dict[bytes, int] = {b"": 1}
        self._covering: list[list[dict[Watcher, None]]] = [[]]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, watcher: Watcher) -> None:
        key, end = watcher.spec.key, watcher.spec.range_end
        if not end:
            group = self._keys.setdefault(key, {})
        else:
            if (key, end) not in self._ranges:
                self._add_range((key, end))
            group = self._ranges[key, end]
        assert watcher not in group, (key, end)
        group[watcher] = None
        self._count += 1

    def remove(self, watcher: Watcher) -> None:
        key, end = watcher.spec.key, watcher.spec.range_end
        group = self._ranges[key, end] if end else self._keys[key]
        del group[watcher]
        self._count -= 1
        if not group and end:
            self._remove_range((key, end))
        elif not group:
            del self._keys[key]

    def match(self, key: bytes) -> list[Watcher]:
        """The watchers whose key or range ``key`` is in: a new list, safe against changes."""
        found: list[Watcher] = []
        exact = self._keys.get(key)
        if exact is not None:
            found.extend(exact)
        if self._ranges:
            for group in self._covering[bisect_right(self._bounds, key) - 1]:
                found.extend(group)
        return found

    def watchers(self) -> list[Watcher]:
        groups = [*self._keys.values(), *self._ranges.values()]
        return [watcher for group in groups for watcher in group]

    def _add_range(self, range_: Range) -> None:
        group: dict[Watcher, None] = {}
        self._ranges[range_] = group
        first, last = self._segments(range_, cut=True)
        for segment in range(first, last):
            self._covering[segment].append(group)

    def _remove_range(self, range_: Range) -> None:
        group = self._ranges.pop(range_)
        first, last = self._segments(range_, cut=False)
        for segment in range(first, last):
            covering = self._covering[segment]
            at = next(i for i, other in enumerate(covering) if other is group)
            del covering[at]
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
