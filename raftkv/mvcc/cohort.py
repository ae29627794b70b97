"""Watchers that get the same: the unit in which events are handed round.

Owns: Cohort and Audience. Must never do: encode or deliver. A stream with a hundred watchers on one
key is one cohort, and so costs little more than a stream with one.
"""

from __future__ import annotations

from typing import Any

from raftkv.mvcc.watcher import View, Watcher, WatchSink

Place = tuple[WatchSink, View, int]


class Audience:
    """Who watches one key (``range_end`` is empty), or one range."""

    __slots__ = ("cohorts", "key", "range_end")

    def __init__(self, key: bytes, range_end: bytes) -> None:
        self.key = key
        self.range_end = range_end
        self.cohorts: dict[Place, Cohort] = {}

    def add(self, watcher: Watcher, first_revision: int) -> None:
        """To the cohort of those who get what happens from ``first_revision`` on."""
        assert watcher.cohort is None, watcher.spec
        place = watcher.sink, watcher.spec.view, first_revision
        cohort = self.cohorts.get(place)
        if cohort is None:
            cohort = self.cohorts[place] = Cohort(self, place)
        watcher.cohort = cohort
        cohort.watchers[watcher] = None
        cohort.plan = None


class Cohort:
    """Watchers of one sink and one audience that want to see the same of the same revisions: what
    one gets, all get.

    Below ``next_revision`` nothing is delivered to them. ``plan`` is the sink's own; it is dropped
    whenever ``watchers`` change.
    """

    __slots__ = ("audience", "next_revision", "plan", "sink", "view", "watchers", "_place")

    def __init__(self, audience: Audience, place: Place) -> None:
        self.audience = audience
        self.sink, self.view, self.next_revision = place
        self.watchers: dict[Watcher, None] = {}
        self.plan: Any = None
        self._place = place

    def remove(self, watcher: Watcher) -> None:
        del self.watchers[watcher]
        self.plan = None
        watcher.cohort = None
        if not self.watchers:
            del self.audience.cohorts[self._place]

    def advance(self, next_revision: int) -> None:
        """Everything below ``next_revision`` is behind it: if a like cohort is there, they go on
        as one, and this one is empty."""
        cohorts = self.audience.cohorts
        del cohorts[self._place]
        self.next_revision = next_revision
        self._place = self.sink, self.view, next_revision
        there = cohorts.setdefault(self._place, self)
        if there is not self:
            for watcher in self.watchers:
                watcher.cohort = there
            there.watchers |= self.watchers
            there.plan = None
            self.watchers = {}
