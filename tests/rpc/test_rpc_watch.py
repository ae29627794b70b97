"""etcdserverpb.Watch: ids, refusals, fragments and progress, rule by rule of etcd's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from random import Random

import pytest
from fake_member import FakeMember

from raftkv.api.rpc_pb2 import (
    WatchCancelRequest,
    WatchCreateRequest,
    WatchProgressRequest,
    WatchRequest,
    WatchResponse,
)
from raftkv.errors import MalformedRequest
from raftkv.mvcc.watch_hub import WatchHub
from raftkv.rpc.watch import take_request
from raftkv.rpc.watch_stream import (
    FRAGMENT_OVERHEAD_BYTES,
    PROGRESS_S_MIN,
    SHARED_BYTES_MAX,
    WatchStream,
)
from raftkv.server.config import Limits, ServerConfig

REQUEST_BYTES = 1_000


def allow(key: bytes, range_end: bytes) -> None:
    """Everybody may watch everything."""


class Watches:
    """One stream of a member of its own; ``take`` returns what it has sent since."""

    def __init__(self, path: Path, progress_s: float = 600.0, backlog_bytes: int = 1 << 20) -> None:
        limits = Limits(request_bytes_max=REQUEST_BYTES, watch_backlog_bytes_max=backlog_bytes)
        self.member = FakeMember(path / "db", limits)
        self.member.config = ServerConfig(
            limits=self.member.config.limits, watch_progress_notify_interval_s=progress_s
        )
        self.hub = WatchHub(self.member.store)
        self.member.hub = self.hub  # type: ignore[attr-defined]
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.member.scheduler = self  # type: ignore[attr-defined]
        self.member.random = Random(1)  # type: ignore[attr-defined]
        self.backlog = 0
        self.takes = True
        """Whether its reader takes what is sent; if not, ``backlog`` grows."""
        self.drained: Callable[[], None] | None = None
        self._sent: list[bytes] = []
        self.stream = WatchStream(self.member, self)  # type: ignore[arg-type]

    def another_stream(self) -> Watches:
        """Of the same member."""
        other = copy(self)
        other._sent = []
        other.stream = WatchStream(other.member, other)  # type: ignore[arg-type]
        return other

    # --- what the stream asks of its surroundings ---

    def send(self, message: bytes) -> None:
        self._sent.append(message)
        if not self.takes:
            self.backlog += len(message)

    def send_each(self, head: bytes, middles: Sequence[bytes], tail: bytes) -> None:
        assert len({len(middle) for middle in middles}) == 1, middles
        for middle in middles:
            self.send(head + middle + tail)

    def when_drained(self, proceed: Callable[[], None]) -> None:
        assert not self.takes, "nobody is slow here"
        assert self.drained is None, "waits already"
        self.drained = proceed

    def drain(self) -> None:
        """The reader takes all that it has left lying."""
        self.backlog, self.takes = 0, True
        proceed, self.drained = self.drained, None
        if proceed is not None:
            proceed()

    def call_later(self, seconds: float, job: Callable[[], None]) -> Watches:
        self.timers.append((seconds, job))
        return self

    def cancel(self) -> None:
        """A timer's."""

    # --- what a client does ---

    def take(self) -> list[WatchResponse]:
        sent, self._sent = self._sent, []
        return [WatchResponse.FromString(each) for each in sent]

    def ask(self, request: WatchRequest) -> list[WatchResponse]:
        take_request(self.stream, request.SerializeToString(), allow)
        return self.take()

    def create(self, **fields: object) -> WatchResponse:
        create = WatchCreateRequest(**fields)  # type: ignore[arg-type]
        (response,) = self.ask(WatchRequest(create_request=create))
        return response

    def cancel_watch(self, watch_id: int) -> list[WatchResponse]:
        return self.ask(WatchRequest(cancel_request=WatchCancelRequest(watch_id=watch_id)))

    def progress(self) -> list[WatchResponse]:
        return self.ask(WatchRequest(progress_request=WatchProgressRequest()))

    def put(self, *keys: bytes, value: bytes = b"v") -> list[WatchResponse]:
        txn = self.member.store.begin()
        for key in keys:
            txn.put(key, value, 0)
        txn.end()
        return self.take()

    def catch_up(self) -> list[WatchResponse]:
        while not self.hub.catch_up(1000):
            pass
        return self.take()


@pytest.fixture
def watches(tmp_path: Path) -> Watches:
    return Watches(tmp_path)


def test_ids_count_from_zero_and_skip_what_is_taken(watches: Watches) -> None:
    """0 asks for the next free one; another is taken as it is, a negative one too, and may be
    used again after a cancel."""
    assert watches.create(key=b"a").watch_id == 0
    assert watches.create(key=b"a", watch_id=1).watch_id == 1
    assert watches.create(key=b"a").watch_id == 2
    assert watches.create(key=b"a", watch_id=-7).watch_id == -7
    (canceled,) = watches.cancel_watch(1)
    assert (canceled.watch_id, canceled.canceled, canceled.created) == (1, True, False)
    assert canceled.header.revision == 1
    again = watches.create(key=b"a", watch_id=1)
    assert (again.watch_id, again.created, again.canceled) == (1, True, False)
    assert watches.cancel_watch(99) == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"key": b"b", "range_end": b"a"}, "mvcc: watcher range is empty"),
        ({"key": b"b", "range_end": b"b"}, "mvcc: watcher range is empty"),
        (
            {"key": b"b", "start_revision": -1},
            "etcdserver: mvcc: required revision has been compacted",
        ),
        (
            {"key": b"b", "watch_id": 5},
            "mvcc: duplicate watch ID provided on the WatchStream",
        ),
    ],
)
def test_creates_that_fail_leave_the_stream_open(
    watches: Watches, fields: dict[str, object], reason: str
) -> None:
    """Created and canceled at once, id -1, the reason in etcd's words; others go on."""
    watches.create(key=b"b", watch_id=5)
    refused = watches.create(**fields)
    assert (refused.created, refused.canceled, refused.watch_id) == (True, True, -1)
    assert (refused.cancel_reason, refused.compact_revision) == (reason, 0)
    (event,) = watches.put(b"b")
    assert event.watch_id == 5


def test_the_empty_key_is_the_zero_byte(watches: Watches) -> None:
    """Alone it is that one key; with an end of one zero byte it is all keys."""
    watches.create(watch_id=1)
    watches.create(range_end=b"\0", watch_id=2)
    assert [each.watch_id for each in watches.put(b"k")] == [2]
    assert sorted(each.watch_id for each in watches.put(b"\0")) == [1, 2]


def test_requests_of_an_unknown_kind_are_ignored(watches: Watches) -> None:
    """An empty one, and one of a kind to come; bytes that are none are an error."""
    assert watches.ask(WatchRequest()) == []
    take_request(watches.stream, b"\x7a\x00", allow)
    assert watches.take() == []
    with pytest.raises(MalformedRequest):
        take_request(watches.stream, b"\x0a\xff", allow)


def test_a_future_revision_is_waited_for_in_silence(watches: Watches) -> None:
    """Nothing below it is delivered, and no progress is told of a stream that waits."""
    created = watches.create(key=b"k", start_revision=4)
    assert (created.created, created.header.revision) == (True, 1)
    assert watches.put(b"k") + watches.put(b"k") == []
    assert watches.progress() == []
    (event,) = watches.put(b"k")
    assert (event.header.revision, event.events[0].kv.mod_revision) == (4, 4)
    (progress,) = watches.progress()
    assert (progress.watch_id, progress.header.revision) == (-1, 4)


def test_a_compacted_start_is_created_first(watches: Watches) -> None:
    """Then canceled with the compacted revision alone: no reason, no revision in the header. The
    compacted revision itself is fine."""
    for _ in range(4):
        watches.put(b"k")
    watches.member.store.compact(4)
    assert watches.create(key=b"k", start_revision=3, watch_id=1).created
    (canceled,) = watches.catch_up()
    assert (canceled.watch_id, canceled.canceled) == (1, True)
    assert (canceled.compact_revision, canceled.cancel_reason) == (4, "")
    assert canceled.header.revision == 0
    watches.create(key=b"k", start_revision=4)
    assert [e.kv.mod_revision for r in watches.catch_up() for e in r.events] == [4, 5]


def test_progress_is_told_only_when_all_are_in_step(watches: Watches) -> None:
    """A stream without watchers gets no answer, and neither does one with a watcher behind."""
    watches.put(b"k")
    assert watches.progress() == []
    watches.create(key=b"k")
    assert len(watches.progress()) == 1
    watches.create(key=b"k", start_revision=2)
    assert watches.progress() == []
    watches.catch_up()
    assert len(watches.progress()) == 1


def test_progress_notify_skips_who_got_events(tmp_path: Path) -> None:
    """In each interval: an empty response to those that asked for it and heard nothing."""
    watches = Watches(tmp_path, progress_s=5.0)
    watches.create(key=b"a", progress_notify=True, watch_id=1)
    watches.create(key=b"b", progress_notify=True, watch_id=2)
    watches.create(key=b"c", watch_id=3)
    watches.put(b"a")
    seconds, notify = watches.timers[0]
    assert 5.0 <= seconds <= 5.5
    notify()
    (told,) = watches.take()
    assert (told.watch_id, told.header.revision, list(told.events)) == (2, 2, [])
    watches.timers[1][1]()
    assert [each.watch_id for each in watches.take()] == [1, 2]


def test_progress_is_never_told_more_often_than_the_floor(tmp_path: Path) -> None:
    """An interval of nothing would be a busy loop."""
    watches = Watches(tmp_path, progress_s=0.0)
    watches.create(key=b"a", progress_notify=True)
    assert watches.timers[0][0] >= PROGRESS_S_MIN


@pytest.mark.parametrize("less", [0, 1])
def test_a_response_is_cut_from_the_threshold_on(watches: Watches, less: int) -> None:
    """At --max-request-bytes and 512 KiB exactly it comes in fragments, a byte below it whole. All
    fragments but the last say so, each is below the threshold, and no event is cut."""
    threshold = REQUEST_BYTES + FRAGMENT_OVERHEAD_BYTES
    watches.create(key=b"k", range_end=b"l", fragment=True)
    (small,) = watches.put(b"k1", b"k2", value=b"v" * (threshold // 2 - 1000))
    left = threshold - small.ByteSize() - less
    half = threshold // 2 - 1000 + left // 2
    txn = watches.member.store.begin()
    # A second version's fields are as long as the first's: only the values grow.
    txn.put(b"k1", b"v" * half, 0)
    txn.put(b"k2", b"v" * (half + left % 2), 0)
    txn.end()
    parts = watches.take()
    whole = WatchResponse()
    for part in parts:
        whole.MergeFrom(part)
        assert part.ByteSize() < threshold
    assert len(whole.events) == 2
    if less:
        assert len(parts) == 1
        assert (parts[0].ByteSize(), parts[0].fragment) == (threshold - 1, False)
    else:
        assert [part.fragment for part in parts] == [True, False]


def test_without_the_flag_it_comes_whole(watches: Watches) -> None:
    """And so does one event, however large."""
    watches.create(key=b"k", range_end=b"l", watch_id=1)
    watches.create(key=b"k2", fragment=True, watch_id=2)
    value = b"v" * (REQUEST_BYTES + FRAGMENT_OVERHEAD_BYTES)
    responses = watches.put(b"k1", b"k2", value=value)
    assert sorted((each.watch_id, len(each.events)) for each in responses) == [(1, 2), (2, 1)]
    assert not any(each.fragment for each in responses)


@pytest.mark.parametrize("value_bytes", [1, 3_000, 20_000])
def test_watchers_of_one_stream_get_the_same_under_their_own_ids(
    watches: Watches, value_bytes: int
) -> None:
    """However long their ids are, and however many responses make a frame. One that leaves and one
    that comes change nothing for the others."""
    ids = [1, 127, 128, 129, 16_383, 16_384, -1, -7, *range(300, 340)]
    for watch_id in ids:
        watches.create(key=b"k", watch_id=watch_id)
    ids += [watches.create(key=b"k").watch_id]
    assert ids[-1] == 0
    value = b"v" * value_bytes
    for watch_id in (310, None, 128):
        if watch_id:
            watches.cancel_watch(watch_id)
            ids.remove(watch_id)
        responses = watches.put(b"k", value=value)
        assert sorted(each.watch_id for each in responses) == sorted(ids)
        revision = watches.member.store.current_revision
        for each in responses:
            (event,) = each.events
            assert (each.header.revision, event.kv.mod_revision) == (revision, revision)
            assert (event.kv.value, each.fragment) == (value, False)
        watches.create(key=b"k", watch_id=1_000_000 + revision)
        ids.append(1_000_000 + revision)


def test_like_watchers_are_cut_only_if_they_asked_for_it(watches: Watches) -> None:
    """A response over the threshold: in fragments for those with the flag, whole for the others."""
    for watch_id in range(1, 5):
        watches.create(key=b"k", range_end=b"l", watch_id=watch_id, fragment=watch_id % 2 == 0)
    half = b"v" * (FRAGMENT_OVERHEAD_BYTES // 2 + REQUEST_BYTES)
    parts = watches.put(b"k1", b"k2", value=half)
    told = [(each.watch_id, each.fragment, len(each.events)) for each in parts]
    whole, cut = [(1, False, 2), (3, False, 2)], [(2, True, 1), (2, False, 1)]
    assert sorted(told) == sorted([*whole, *cut, *[(4, more, 1) for _, more, _ in cut]])
    assert [more for watch_id, more, _ in told if watch_id == 2] == [True, False]


@pytest.mark.parametrize("value_bytes", [100, 9_000, 40_000])
@pytest.mark.parametrize("room", [0, 1, 37])
def test_a_reader_that_slows_in_the_middle_misses_and_repeats_nothing(
    tmp_path: Path, value_bytes: int, room: int
) -> None:
    """Some of a stream's like watchers have an event already, the others read it later; another
    stream's watcher gets it at once, and no more than the bound and one step are ever queued."""
    watches = Watches(tmp_path, backlog_bytes=room * value_bytes)
    quick = watches.another_stream()
    ids = [*range(100, 160), 1, 2]
    for watch_id in ids:
        watches.create(key=b"k", watch_id=watch_id)
    quick.create(key=b"k")
    got: dict[int, list[int]] = {watch_id: [] for watch_id in ids}
    watches.takes = False
    most = 0
    for _ in range(3):
        for _ in range(2):
            for each in watches.put(b"k", value=b"v" * value_bytes):
                got[each.watch_id] += [event.kv.mod_revision for event in each.events]
            most = max(most, watches.backlog)
        assert sum(len(each.events) for each in quick.take()) == 2
        assert watches.drained is not None
        watches.drain()
        watches.takes = False
        while not watches.hub.catch_up(1):
            most = max(most, watches.backlog)
            watches.drain()
            watches.takes = False
        for each in watches.take():
            got[each.watch_id] += [event.kv.mod_revision for event in each.events]
        watches.drain()
        for each in watches.catch_up():
            got[each.watch_id] += [event.kv.mod_revision for event in each.events]
        watches.takes = False
    assert got == {watch_id: [2, 3, 4, 5, 6, 7] for watch_id in ids}
    step = max(SHARED_BYTES_MAX, 2 * value_bytes) + 1_000
    assert most <= room * value_bytes + step, most
