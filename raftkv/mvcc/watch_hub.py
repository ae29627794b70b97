"""From revisions to watchers.

Owns: which watchers are in step, which read history, and which wait for a slow reader. Must never
do: keep events for anybody: who is not in step reads them from the store again, so a slow watcher
costs a few words of memory, and delays nobody. Guarantees (names as in etcd's):

- W1 ordered, W2 unique, W3 reliable: each watcher gets its events by (main, sub), once, no gaps;
- W4 atomic: all events of one revision are delivered together;
- W5 bookmarkable: no event at or below a delivered header revision follows it;
- W6 never silent: a watcher whose revisions are compacted away is told and ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raftkv.mvcc.query import Event, RevisionEvents
from raftkv.mvcc.store import Store
from raftkv.mvcc.watch_events import event_field
from raftkv.mvcc.watcher import Watcher, WatchSink, WatchSpec, WatchState
from raftkv.mvcc.watcher_index import WatcherIndex

CATCH_UP_BYTES_MAX = 4 << 20
"""One step of catching up reads history up to this size, and at least one revision."""


class WatchHub:
    """``on_work`` is called when ``catch_up`` wants turns."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._synced = WatcherIndex()
        self._unsynced = WatcherIndex()
        self._paused: set[Watcher] = set()
        self._published = store.current_revision
        self.on_work: Callable[[], None] = lambda: None
        self.streams = 0
        """How many streams their owners have open; they share what may wait for slow readers."""

    # --- watchers come and go -------------------------------------------------------------------

    @property
    def watcher_count(self) -> int:
        return len(self._synced) + len(self._unsynced) + len(self._paused)

    @property
    def slow_count(self) -> int:
        """Watchers that are not in step."""
        return len(self._unsynced) + len(self._paused)

    def watch(self, spec: WatchSpec, sink: WatchSink) -> Watcher:
        """A new watcher. Nothing is delivered before this returns."""
        assert spec.key, "the empty key is translated by the caller"
        assert spec.start_revision >= 0, spec.start_revision
        self._observe()
        current = self._store.current_revision
        watcher = Watcher(spec, sink, spec.start_revision or current + 1)
        if watcher.next_revision > current:
            self._synced.add(watcher)
        else:
            self._begin_catch_up(watcher)
        return watcher

    def cancel(self, watcher: Watcher) -> None:
        """End a watcher, whatever it does. Ending it twice does no harm."""
        self._take_out(watcher)
        watcher.state = WatchState.ENDED
        if not self.watcher_count:
            self._store.observer = None  # nobody to tell: writes need not make events

    def pause(self, watcher: Watcher) -> None:
        """Its reader is slow: deliver nothing until ``resume``."""
        if watcher.state in (WatchState.SYNCED, WatchState.CATCHING_UP):
            self._note_position(watcher)
            self._take_out(watcher)
            watcher.state = WatchState.PAUSED
            self._paused.add(watcher)

    def resume(self, watcher: Watcher) -> None:
        if watcher.state is WatchState.PAUSED:
            self._paused.discard(watcher)
            if watcher.next_revision > self._store.current_revision:
                watcher.state = WatchState.SYNCED
                self._synced.add(watcher)
            else:
                self._begin_catch_up(watcher)

    def is_in_step(self, watcher: Watcher) -> bool:
        """Whether it has everything so far, and waits for nothing but what comes next."""
        return (
            watcher.state is WatchState.SYNCED
            and watcher.spec.start_revision <= self._store.current_revision
        )

    # --- events ---------------------------------------------------------------------------------

    def publish(self, happened: RevisionEvents) -> None:
        """A revision was applied: tell the watchers in step."""
        revision = happened.revision
        assert revision > self._published, (revision, self._published)
        for watcher, events in _group(self._synced, (happened,)).items():
            self._deliver(watcher, revision, revision, events)
        # Not before: a watcher that another's delivery has paused still needs this revision.
        self._published = revision

    def _deliver(self, watcher: Watcher, header: int, upto: int, events: Sequence[Event]) -> None:
        """``events`` end with revision ``upto``, which is then behind the watcher."""
        if watcher.state not in (WatchState.SYNCED, WatchState.CATCHING_UP):
            return  # paused or cancelled by another's delivery in this very round
        spec, first = watcher.spec, watcher.next_revision
        fields = [
            event_field(event, with_prev=spec.prev_kv)
            for event in events
            if event.revision >= first and spec.wants(event)
        ]
        watcher.next_revision = max(first, upto + 1)
        if fields:
            watcher.sink.deliver(watcher, header, fields)

    # --- catching up ------------------------------------------------------------------------------

    @property
    def needs_catch_up(self) -> bool:
        return bool(len(self._unsynced))

    def catch_up(self, revisions_max: int) -> bool:
        """One bounded step of history for all that are behind; True when none is any more."""
        self._end_compacted()
        watchers = self._unsynced.watchers()
        if not watchers:
            return True
        start = min(watcher.next_revision for watcher in watchers)
        history = self._store.events_since(start, revisions_max, bytes_max=CATCH_UP_BYTES_MAX)
        current = self._store.current_revision
        # Without a full batch there is nothing more: revisions of other keys count as read.
        upto = history[-1].revision if history else current
        by_watcher = _group(self._unsynced, history)
        for watcher in watchers:
            # All events up to the header's revision must be in this response or an earlier one.
            self._deliver(watcher, upto, upto, by_watcher.get(watcher, ()))
            if watcher.state is WatchState.CATCHING_UP and watcher.next_revision > current:
                self._unsynced.remove(watcher)
                watcher.state = WatchState.SYNCED
                self._synced.add(watcher)
        return not len(self._unsynced)

    def restored(self) -> None:
        """The store was replaced by a later state: nobody is in step who was. Each goes on from
        its own next revision, which is never lowered (etcd issues 15271 and 20221)."""
        current = self._store.current_revision
        for watcher in self._synced.watchers():
            self._note_position(watcher)
            if watcher.next_revision <= current:
                self._synced.remove(watcher)
                self._begin_catch_up(watcher)
        self._published = current

    def _begin_catch_up(self, watcher: Watcher) -> None:
        watcher.state = WatchState.CATCHING_UP
        self._unsynced.add(watcher)
        self.on_work()

    def _end_compacted(self) -> None:
        compacted = self._store.compact_revision
        for watcher in self._unsynced.watchers():
            if watcher.next_revision < compacted:
                self.cancel(watcher)
                watcher.sink.compacted(watcher, compacted)

    def _note_position(self, watcher: Watcher) -> None:
        """A watcher in step has seen every revision published so far, its own or not."""
        if watcher.state is WatchState.SYNCED:
            watcher.next_revision = max(watcher.next_revision, self._published + 1)

    def _take_out(self, watcher: Watcher) -> None:
        if watcher.state is WatchState.SYNCED:
            self._synced.remove(watcher)
        elif watcher.state is WatchState.CATCHING_UP:
            self._unsynced.remove(watcher)
        else:
            self._paused.discard(watcher)

    def _observe(self) -> None:
        if self._store.observer is None:
            self._published = self._store.current_revision
            self._store.observer = self.publish


def _group(index: WatcherIndex, history: Sequence[RevisionEvents]) -> dict[Watcher, list[Event]]:
    """The events of each watcher that has any, in order."""
    found: dict[Watcher, list[Event]] = {}
    for happened in history:
        for event in happened.events:
            for watcher in index.match(event.key):
                found.setdefault(watcher, []).append(event)
    return found
