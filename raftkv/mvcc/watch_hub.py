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
from itertools import islice

from raftkv.mvcc.cohort import Audience, Cohort
from raftkv.mvcc.query import Event, RevisionEvents
from raftkv.mvcc.store import Store
from raftkv.mvcc.watch_events import EventBatch, event_field
from raftkv.mvcc.watcher import View, Watcher, WatchSink, WatchSpec, WatchState
from raftkv.mvcc.watcher_index import WatcherIndex

CATCH_UP_BYTES_MAX = 4 << 20
"""One step of catching up reads history up to this size, and at least one revision."""
HELD_BYTES_MAX = 64 << 10
"""Events held back for a common response are handed round once they are this large."""


class WatchHub:
    """``on_work`` is called when ``catch_up`` wants turns."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._synced = WatcherIndex()
        self._unsynced = WatcherIndex()
        self._paused: set[Watcher] = set()
        self._published = store.current_revision
        self._holding = False
        self._held: list[RevisionEvents] = []
        self._held_bytes = 0
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

    def slow(self, watchers_max: int) -> list[tuple[Watcher, int]]:
        """Some that are not in step, and the revision that each has to get next."""
        found = [(each, each.next_revision) for each in islice(self._paused, watchers_max)]
        for cohort in self._unsynced.each_cohort():
            if len(found) >= watchers_max:
                break
            for each in islice(cohort.watchers, watchers_max - len(found)):
                found.append((each, max(each.next_revision, cohort.next_revision)))
        return found

    def watch(self, spec: WatchSpec, sink: WatchSink) -> Watcher:
        """A new watcher. Nothing is delivered to it before this returns."""
        assert spec.key, "the empty key is translated by the caller"
        assert spec.start_revision >= 0, spec.start_revision
        self._hand_round_held()
        self._observe()
        current = self._store.current_revision
        watcher = Watcher(spec, sink, spec.start_revision or current + 1)
        if watcher.next_revision > current:
            self._follow(watcher)
        else:
            self._begin_catch_up(watcher)
        return watcher

    def cancel(self, watcher: Watcher) -> None:
        """End a watcher, whatever it does. Ending it twice does no harm."""
        self._take_out(watcher)
        watcher.state = WatchState.ENDED
        if not self.watcher_count:
            self._store.observer = None  # nobody to tell: writes need not make events
            self._held, self._held_bytes = [], 0

    def pause(self, watcher: Watcher, *, seen: int = 0) -> None:
        """Its reader is slow: deliver nothing until ``resume``. ``seen`` is the revision that is
        just being delivered, if this watcher of the cohort has got it already."""
        self._hand_round_held()
        if watcher.state in (WatchState.SYNCED, WatchState.CATCHING_UP):
            self._note_position(watcher)
            watcher.next_revision = max(watcher.next_revision, seen + 1)
            self._take_out(watcher)
            watcher.state = WatchState.PAUSED
            self._paused.add(watcher)

    def resume(self, watcher: Watcher) -> None:
        self._hand_round_held()
        if watcher.state is WatchState.PAUSED:
            self._paused.discard(watcher)
            if watcher.next_revision > self._store.current_revision:
                self._follow(watcher)
            else:
                self._begin_catch_up(watcher)

    def is_in_step(self, watcher: Watcher) -> bool:
        """Whether it has everything so far, and waits for nothing but what comes next."""
        self._hand_round_held()
        return (
            watcher.state is WatchState.SYNCED
            and watcher.spec.start_revision <= self._store.current_revision
        )

    # --- events ---------------------------------------------------------------------------------

    def hold(self) -> None:
        """Many revisions are about to be applied: one response may tell of them all."""
        self._holding = True

    def release(self) -> None:
        """They were: tell of them now. Nothing is held when this returns."""
        self._holding = False
        self._hand_round_held()

    def publish(self, happened: RevisionEvents) -> None:
        """A revision was applied: tell the watchers in step, or hold it for a moment."""
        revision = happened.revision
        assert revision > self._published, (revision, self._published)
        self._held.append(happened)
        if self._holding:
            self._held_bytes += happened.size
            if self._held_bytes < HELD_BYTES_MAX:
                return
        self._hand_round_held()

    def _hand_round_held(self) -> None:
        if self._held:
            held, self._held, self._held_bytes = self._held, [], 0
            upto = held[-1].revision
            self._hand_round(self._synced, held, upto)
            # Not before: a watcher that another's delivery has paused still needs these.
            self._published = upto

    def _hand_round(
        self, index: WatcherIndex, history: Sequence[RevisionEvents], upto: int
    ) -> None:
        """``history`` ends with revision ``upto``, which is then behind all cohorts it concerns."""
        for audience, events in _events_by_audience(index, history).items():
            shared: dict[tuple[View, int], EventBatch] = {}
            begin = events[0].revision
            for cohort in list(audience.cohorts.values()):
                if not cohort.watchers:
                    continue  # paused or cancelled by another's delivery in this very round
                first = cohort.next_revision
                like = cohort.view, first if first > begin else 0
                batch = shared.get(like)
                if batch is None:
                    batch = shared[like] = _encoded(events, cohort.view, first, upto)
                if batch.fields:
                    cohort.sink.deliver(cohort, batch)
                if first <= upto:
                    cohort.next_revision = upto + 1

    # --- catching up ------------------------------------------------------------------------------

    @property
    def needs_catch_up(self) -> bool:
        return bool(len(self._unsynced))

    def catch_up(self, revisions_max: int) -> bool:
        """One bounded step of history for all that are behind; True when none is any more."""
        self._hand_round_held()
        self._end_compacted()
        cohorts = self._unsynced.cohorts()
        if not cohorts:
            return True
        history = self._store.events_since(
            min(cohort.next_revision for cohort in cohorts),
            revisions_max,
            bytes_max=CATCH_UP_BYTES_MAX,
            with_prev=any(cohort.view.prev_kv for cohort in cohorts),
        )
        current = self._store.current_revision
        # Without a full batch there is nothing more: revisions of other keys count as read.
        upto = history[-1].revision if history else current
        # All events up to the header's revision must be in this response or an earlier one.
        self._hand_round(self._unsynced, history, upto)
        for cohort in cohorts:
            if cohort.watchers:  # they were not paused meanwhile
                self._go_on(cohort, max(cohort.next_revision, upto + 1), current)
        return not len(self._unsynced)

    def restored(self) -> None:
        """The store was replaced by a later state: nobody is in step who was. Each goes on from
        its own next revision, which is never lowered (etcd issues 15271 and 20221)."""
        assert not self._held, f"{len(self._held)} revisions of the old state are held"
        current = self._store.current_revision
        for watcher in self._synced.watchers():
            self._note_position(watcher)
            if watcher.next_revision <= current:
                self._synced.remove(watcher)
                self._begin_catch_up(watcher)
        self._published = current

    def _begin_catch_up(self, watcher: Watcher) -> None:
        watcher.state = WatchState.CATCHING_UP
        self._unsynced.add(watcher, watcher.next_revision)
        self.on_work()

    def _go_on(self, cohort: Cohort, next_revision: int, current: int) -> None:
        """It has come so far: reading on, or in step."""
        if next_revision <= current:
            cohort.advance(next_revision)
            return
        for watcher in list(cohort.watchers):
            self._unsynced.remove(watcher)
            watcher.next_revision = next_revision
            self._follow(watcher)

    def _follow(self, watcher: Watcher) -> None:
        """It is in step from here on: it lacks nothing that has happened."""
        watcher.state = WatchState.SYNCED
        is_ahead = watcher.next_revision > self._store.current_revision + 1
        self._synced.add(watcher, watcher.next_revision if is_ahead else 0)

    def _end_compacted(self) -> None:
        compacted = self._store.compact_revision
        for cohort in self._unsynced.cohorts():
            if cohort.next_revision < compacted:
                for watcher in list(cohort.watchers):
                    self.cancel(watcher)
                    watcher.sink.compacted(watcher, compacted)

    def _note_position(self, watcher: Watcher) -> None:
        """A watcher in step has seen every revision published so far, its own or not."""
        assert watcher.cohort is not None, watcher.spec
        seen = self._published if watcher.state is WatchState.SYNCED else 0
        watcher.next_revision = max(watcher.next_revision, watcher.cohort.next_revision, seen + 1)

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


def _events_by_audience(
    index: WatcherIndex, history: Sequence[RevisionEvents]
) -> dict[Audience, list[Event]]:
    """The events of each audience that has any, in order."""
    found: dict[Audience, list[Event]] = {}
    for happened in history:
        for event in happened.events:
            for audience in index.match(event.key):
                events = found.get(audience)
                if events is None:
                    found[audience] = [event]
                else:
                    events.append(event)
    return found


def _encoded(events: Sequence[Event], view: View, first: int, upto: int) -> EventBatch:
    with_prev = view.prev_kv
    fields = [
        event_field(event, with_prev=with_prev)
        for event in events
        if event.revision >= first and view.wants(event)
    ]
    return EventBatch(upto, fields)
