"""Watchers against the list of all changes: in order, once, without gaps, never silent."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from raftkv.api.kv_pb2 import Event as EventMessage
from raftkv.api.rpc_pb2 import WatchResponse
from raftkv.backend.environment import LmdbBackend
from raftkv.mvcc.codec import encode_key_value
from raftkv.mvcc.cohort import Cohort
from raftkv.mvcc.query import Event
from raftkv.mvcc.store import Store
from raftkv.mvcc.watch_events import EventBatch, event_field
from raftkv.mvcc.watch_hub import HELD_BYTES_MAX, WatchHub
from raftkv.mvcc.watcher import Watcher, WatchSpec, WatchState
from raftkv.mvcc.watcher_index import WatcherIndex

KEYS = (b"a", b"b", b"b1", b"b2", b"c", b"\xff")
keys = st.sampled_from(KEYS)
ends = st.sampled_from((b"", b"\0", *KEYS))


def covers(spec: WatchSpec, key: bytes) -> bool:
    if not spec.range_end:
        return key == spec.key
    return key >= spec.key and (spec.range_end == b"\0" or key < spec.range_end)


class Seen:
    """What one watcher got, as a client would decode it."""

    def __init__(self) -> None:
        self.events: list[EventMessage] = []
        self.responses: list[tuple[int, list[int]]] = []
        self.compacted_at: int | None = None

    def take(self, batch: EventBatch) -> None:
        assert batch.body == b"".join(batch.fields)
        events = list(WatchResponse.FromString(batch.body).events)
        assert events, "a response without events"
        self.events += events
        self.responses.append((batch.revision, [e.kv.mod_revision for e in events]))


class Stream:
    """A sink with many watchers. Once ``room`` responses are told its reader is slow: all its
    watchers are paused, in the middle of a cohort too."""

    def __init__(self, hub: WatchHub) -> None:
        self.hub = hub
        self.room: int | None = None
        self.seen: dict[Watcher, Seen] = {}

    def watch(self, spec: WatchSpec) -> tuple[Watcher, Seen]:
        watcher = self.hub.watch(spec, self)
        self.seen[watcher] = Seen()
        return watcher, self.seen[watcher]

    def deliver(self, cohort: Cohort, batch: EventBatch) -> None:
        told: set[Watcher] = set()
        for watcher in cohort.watchers:
            assert watcher.cohort is cohort
            self.seen[watcher].take(batch)
            told.add(watcher)
            if self.room is not None:
                self.room -= 1
                if self.room <= 0:
                    break
        if self.room is not None and self.room <= 0:
            self.room = None
            for watcher in self.seen:
                self.hub.pause(watcher, seen=batch.revision if watcher in told else 0)

    def compacted(self, watcher: Watcher, compact_revision: int) -> None:
        self.seen[watcher].compacted_at = compact_revision


class HubMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.backend = LmdbBackend(str(self.directory / "db"))
        self.store = Store(self.backend)
        self.hub = WatchHub(self.store)
        self.streams = [Stream(self.hub) for _ in range(3)]
        self.watchers: list[tuple[Watcher, Seen, int]] = []
        self.holding = False
        self.changes: list[tuple[int, bytes, bool, bytes | None]] = []  # with the previous value
        self.values: dict[bytes, bytes] = {}

    def teardown(self) -> None:
        self.hub.release()
        for stream in self.streams:
            stream.room = None
        for watcher, _, _ in self.watchers:
            self.hub.resume(watcher)
        while not self.hub.catch_up(1000):
            pass
        for watcher, seen, start in self.watchers:
            self.check(watcher, seen, start, whole=True)
        self.backend.close()
        shutil.rmtree(self.directory)

    @rule(
        ops=st.lists(
            st.tuples(keys, st.sampled_from((None, b"", b"x", b"y"))), min_size=1, max_size=3
        )
    )
    def write(self, ops: list[tuple[bytes, bytes | None]]) -> None:
        """One txn; None deletes."""
        txn = self.store.begin()
        for key, value in dict(ops).items():
            before = self.values.get(key)
            if value is None:
                if txn.delete_range(key, b""):
                    self.changes.append((txn.revision, key, True, before))
                    del self.values[key]
            else:
                txn.put(key, value, 0)
                self.changes.append((txn.revision, key, False, before))
                self.values[key] = value
        txn.end()

    @rule(
        key=keys,
        end=ends,
        back=st.integers(-3, 6),
        now=st.booleans(),
        prev_kv=st.booleans(),
        no_put=st.booleans(),
        no_delete=st.booleans(),
        stream=st.integers(0, 2),
    )
    def watch(
        self,
        stream: int,
        key: bytes,
        end: bytes,
        back: int,
        now: bool,
        prev_kv: bool,
        no_put: bool,
        no_delete: bool,
    ) -> None:
        start = 0 if now else max(self.store.current_revision - back, 1)
        if end and end != b"\0" and end <= key:
            end = b"\0"
        spec = WatchSpec(key, end, start, prev_kv, no_put and not no_delete, no_delete)
        first = start or self.store.current_revision + 1
        self.watchers.append((*self.streams[stream].watch(spec), first))

    @rule(stream=st.integers(0, 2), room=st.integers(1, 4))
    def stall(self, stream: int, room: int) -> None:
        self.streams[stream].room = room

    @rule(hold=st.booleans())
    def hold(self, hold: bool) -> None:
        """Within a turn of applying, and at its end."""
        self.holding = hold
        self.hub.hold() if hold else self.hub.release()

    @precondition(lambda self: self.watchers)
    @rule(number=st.integers(0, 99), resume=st.booleans())
    def slow(self, number: int, resume: bool) -> None:
        watcher = self.watchers[number % len(self.watchers)][0]
        self.hub.resume(watcher) if resume else self.hub.pause(watcher)

    @rule(revisions=st.integers(1, 3))
    def catch_up(self, revisions: int) -> None:
        self.hub.catch_up(revisions)

    @rule(back=st.integers(0, 4))
    def compact(self, back: int) -> None:
        revision = self.store.current_revision - back
        if revision > self.store.compact_revision and revision > 0:
            self.store.compact(revision)
            while not self.store.compact_step(2):
                pass

    @rule()
    def restored(self) -> None:
        """The store was swapped for an equal one: nobody misses or repeats anything."""
        self.hold(hold=False)
        self.hub.restored()

    @precondition(lambda self: self.watchers)
    @rule(number=st.integers(0, 99))
    def look(self, number: int) -> None:
        if self.holding:
            self.hub.release()
            self.hub.hold()
        self.check(*self.watchers[number % len(self.watchers)], whole=False)

    def check(self, watcher: Watcher, seen: Seen, start: int, *, whole: bool) -> None:
        spec = watcher.spec
        wanted = [
            change
            for change in self.changes
            if change[0] >= start
            and covers(spec, change[1])
            and not (spec.no_delete if change[2] else spec.no_put)
        ]
        got = [(e.kv.mod_revision, e.kv.key, e.type == EventMessage.DELETE) for e in seen.events]
        assert got == [change[:3] for change in wanted[: len(got)]], (spec, start)
        promised = 0
        for header, revisions in seen.responses:
            assert revisions[0] > promised, "an event at or below a header that came before it"
            assert header >= revisions[-1]
            promised = header
        if spec.prev_kv:
            for event, change in zip(seen.events, wanted, strict=False):
                if event.HasField("prev_kv"):
                    assert event.prev_kv.value == change[3]
                else:
                    assert change[3] is None or change[0] - 1 < self.store.compact_revision
        assert spec.prev_kv or not any(e.HasField("prev_kv") for e in seen.events)
        if watcher.state is WatchState.SYNCED or (whole and seen.compacted_at is None):
            assert len(got) == len(wanted), f"{len(wanted) - len(got)} events are missing"
        if seen.compacted_at is not None:
            assert watcher.state is WatchState.ENDED


TestHub = HubMachine.TestCase
TestHub.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@given(
    st.lists(st.tuples(keys, ends, st.booleans()), max_size=25),
    st.lists(st.binary(max_size=3), max_size=10),
)
def test_index_against_looking_at_all(
    ranges: list[tuple[bytes, bytes, bool]], probes: list[bytes]
) -> None:
    """Whatever was added and removed, a look-up finds exactly the watchers that cover the key."""
    index, kept = WatcherIndex(), []
    sink = Stream(WatchHub.__new__(WatchHub))
    for key, end, remove in ranges:
        if end and end != b"\0" and end <= key:
            continue
        watcher = Watcher(WatchSpec(key, end), sink, 1)
        index.add(watcher, 0)
        kept.append(watcher)
        if remove:
            index.remove(kept.pop(0))
    assert len(index) == len(kept)
    for probe in [*probes, *KEYS]:
        cohorts = [c for audience in index.match(probe) for c in audience.cohorts.values()]
        matched = [watcher for cohort in cohorts for watcher in cohort.watchers]
        assert len(matched) == len(set(matched))
        assert set(matched) == {w for w in kept if covers(w.spec, probe)}


@given(keys, st.booleans(), st.none() | st.binary(max_size=5), st.booleans())
def test_events_as_protobuf_has_them(
    key: bytes, is_delete: bool, previous: bytes | None, with_prev: bool
) -> None:
    """The hand-made field decodes to the event, and is made once."""
    kv = encode_key_value(key, 3, 7, 2, b"value", 0)
    prev = None if previous is None else encode_key_value(key, 3, 6, 1, previous, 0)
    event = Event(key, 7, 0, is_delete, kv, prev)
    field = event_field(event, with_prev=with_prev)
    assert event_field(event, with_prev=with_prev) is field
    [decoded] = WatchResponse.FromString(field).events
    assert (decoded.type == EventMessage.DELETE) is is_delete
    assert decoded.kv.SerializeToString() == kv
    assert decoded.HasField("prev_kv") is (with_prev and previous is not None)


def put(store: Store, *keys: bytes) -> None:
    txn = store.begin()
    for key in keys:
        txn.put(key, b"v", 0)
    txn.end()


def test_who_is_paused_before_its_turn_has_missed_nothing(tmp_path: Path) -> None:
    """The first of three gets an event, and its reader turns out slow: all are paused, and the
    others have not had it. So with two of one cohort, and with one of another."""
    store = Store(LmdbBackend(str(tmp_path / "db")))
    hub = WatchHub(store)
    stream = Stream(hub)
    specs = WatchSpec(b"a"), WatchSpec(b"a"), WatchSpec(b"a", prev_kv=True)
    watchers = [stream.watch(spec) for spec in specs]
    stream.room = 1
    put(store, b"a")
    assert [len(seen.events) for _, seen in watchers] == [1, 0, 0]
    for _ in range(3):
        for watcher, _ in watchers:
            hub.resume(watcher)
        hub.catch_up(10)
    assert [len(seen.events) for _, seen in watchers] == [1, 1, 1]


def test_who_watches_alike_is_told_at_once(tmp_path: Path) -> None:
    """One cohort for a stream's like watchers, whenever they came and wherever they began; who
    waits for a future revision gets nothing before it."""
    store = Store(LmdbBackend(str(tmp_path / "db")))
    hub = WatchHub(store)
    stream = Stream(hub)
    old = [stream.watch(WatchSpec(b"a", start_revision=revision)) for revision in (1, 2, 3)]
    put(store, b"a")
    put(store, b"a")
    new = [stream.watch(WatchSpec(b"a", start_revision=revision)) for revision in (1, 2, 3, 0, 4)]
    later, seen = stream.watch(WatchSpec(b"a", start_revision=6))
    while not hub.catch_up(1):
        pass
    cohorts = {watcher.cohort for watcher, _ in old[1:] + new}
    assert len(cohorts) <= 3, "the present, and those that waited for 2 and for 3"
    assert len({watcher.cohort for watcher, _ in new}) == 1
    for _ in range(3):
        put(store, b"a")
    got = [[event.kv.mod_revision for event in each.events] for _, each in old]
    assert got == [[2, 3, 4, 5, 6], [2, 3, 4, 5, 6], [3, 4, 5, 6]]
    got = [[event.kv.mod_revision for event in each.events] for _, each in new]
    assert got == [[2, 3, 4, 5, 6], [2, 3, 4, 5, 6], [3, 4, 5, 6], [4, 5, 6], [4, 5, 6]]
    assert [event.kv.mod_revision for event in seen.events] == [6]
    assert later.cohort not in cohorts


def test_revisions_of_one_turn_make_one_response(tmp_path: Path) -> None:
    """What is held is told on release, in order, under the last revision; sooner when it is large,
    and when somebody asks who is in step."""
    store = Store(LmdbBackend(str(tmp_path / "db")))
    hub = WatchHub(store)
    watcher, seen = Stream(hub).watch(WatchSpec(b"a", b"b"))
    hub.hold()
    put(store, b"a1", b"a2")
    put(store, b"a1")
    put(store, b"c")
    assert not seen.responses
    hub.release()
    assert seen.responses == [(4, [2, 2, 3])]
    put(store, b"a1")
    assert seen.responses[1:] == [(5, [5])]
    hub.hold()
    put(store, b"a1")
    assert hub.is_in_step(watcher)
    assert seen.responses[2:] == [(6, [6])]
    for number in range(1 + HELD_BYTES_MAX // 1_000):
        put(store, b"a%03d" % number + bytes(1_000))
    assert len(seen.responses) == 4
    hub.release()
    assert sum(len(revisions) for _, revisions in seen.responses[3:]) == 66


def test_without_watchers_writes_make_no_events(tmp_path: Path) -> None:
    """The hub takes itself out of the write path with its last watcher."""
    store = Store(LmdbBackend(str(tmp_path / "db")))
    hub = WatchHub(store)
    assert store.observer is None
    watcher = hub.watch(WatchSpec(b"a"), Stream(hub))
    assert store.observer is not None
    hub.cancel(watcher)
    assert store.observer is None
    assert hub.watcher_count == 0
