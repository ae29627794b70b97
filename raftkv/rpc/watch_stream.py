"""The responses of one Watch stream.

Owns: watch ids, the encoding of WatchResponse, progress, fragments, and the stream's slowness.
Must never do: buffer for a slow reader: above the limit its watchers leave the hub's round and read
history again when the stream has drained. One slow stream delays no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

from raftkv.mvcc.codec import encode_varint
from raftkv.mvcc.cohort import Cohort
from raftkv.mvcc.watch_events import EventBatch
from raftkv.mvcc.watcher import Watcher, WatchSpec
from raftkv.rpc.header import Headers
from raftkv.rpc.member import WatchMember
from raftkv.scheduler import Timer

FRAGMENT_OVERHEAD_BYTES = 512 * 1024
"""A response is cut from this far above the largest request on: never one below a frame."""
SHARED_BYTES_MAX = 16_384
"""Responses made in one go for watchers of one stream: with gRPC's prefixes a DATA frame at most.
Then the stream's backlog is looked at again."""
RESPONSE_PREFIX_BYTES = 5
ALL_WATCHERS = -1
PROGRESS_JITTER = 0.1
PROGRESS_S_MIN = 0.1
PROGRESS_JITTER_PARTS = 1024

_CREATED = b"\x18\x01"
_CANCELED = b"\x20\x01"
_FRAGMENT = b"\x38\x01"


class _Watch:
    """One watcher of the stream, under its id."""

    __slots__ = ("fragment", "had_events", "id_field", "progress_notify", "watch_id", "watcher")

    def __init__(self, watch_id: int, *, fragment: bool, progress_notify: bool) -> None:
        self.watch_id = watch_id
        self.id_field = _id_field(watch_id)
        self.fragment = fragment
        self.progress_notify = progress_notify
        self.had_events = False
        self.watcher: Watcher | None = None


class _Plan:
    """How a cohort's watchers are told: their id fields, those of one length together, so that
    all their responses differ in nothing else. ``watches`` are in the same order."""

    __slots__ = ("ids", "notified", "watches")

    def __init__(self, watches: Sequence[_Watch]) -> None:
        self.watches = sorted(watches, key=lambda watch: len(watch.id_field))
        self.ids = [
            [watch.id_field for watch in group]
            for _, group in groupby(self.watches, lambda watch: len(watch.id_field))
        ]
        self.notified = [watch for watch in watches if watch.progress_notify]


class Outlet(Protocol):
    """Where responses leave, in order."""

    def send(self, message: bytes) -> None:
        """Never blocks."""

    def send_each(self, head: bytes, middles: Sequence[bytes], tail: bytes) -> None:
        """One message ``head + middle + tail`` for each of the middles, which are of one length."""

    @property
    def backlog(self) -> int:
        """Bytes that the reader has not taken yet."""

    @property
    def peer(self) -> str:
        """The reader, as host:port."""

    def when_drained(self, proceed: Callable[[], None]) -> None:
        """Call ``proceed`` once the backlog is low, unless the stream ends before."""


class WatchStream:
    """Also the hub's WatchSink for all its watchers."""

    def __init__(self, member: WatchMember, outlet: Outlet) -> None:
        self._member = member
        self._hub = member.hub
        self._outlet = outlet
        self._headers = Headers(member)
        self._watches: dict[int, _Watch] = {}
        self._by_watcher: dict[Watcher, _Watch] = {}
        self._next_id = 0
        limits = member.config.limits
        self._backlog_bytes_max = limits.watch_backlog_bytes_max
        self._backlog_bytes_min = min(limits.watch_backlog_bytes_min, self._backlog_bytes_max)
        self._backlogs_bytes_max = limits.watch_backlogs_bytes_max
        self._fragment_bytes = limits.request_bytes_max + FRAGMENT_OVERHEAD_BYTES
        self._draining = False
        self._progress_timer: Timer | None = None
        self._closed = False
        self._hub.streams += 1

    @property
    def client(self) -> str:
        return self._outlet.peer

    @property
    def backlog_bytes(self) -> int:
        return self._outlet.backlog

    # --- requests -------------------------------------------------------------------------------

    def has(self, watch_id: int) -> bool:
        return watch_id in self._watches

    def create(
        self, spec: WatchSpec, watch_id: int, *, fragment: bool, progress_notify: bool
    ) -> None:
        """``watch_id`` 0 has the next free one chosen, from 0 on."""
        if not watch_id:
            while self._next_id in self._watches:
                self._next_id += 1
            watch_id = self._next_id
            self._next_id += 1
        watch = _Watch(watch_id, fragment=fragment, progress_notify=progress_notify)
        self._watches[watch_id] = watch
        self._send(watch.id_field, _CREATED)
        watch.watcher = self._hub.watch(spec, self)
        self._by_watcher[watch.watcher] = watch
        if self._draining:
            self._hub.pause(watch.watcher)
        if progress_notify and self._progress_timer is None:
            self._arm_progress()

    def refuse(self, reason: str) -> None:
        """A create that cannot be: created and canceled at once, under no id."""
        text = reason.encode()
        reason_field = b"\x32" + encode_varint(len(text)) + text
        self._send(_id_field(-1), _CREATED + _CANCELED + reason_field)

    def cancel(self, watch_id: int) -> None:
        """An unknown id is ignored, as etcd does."""
        watch = self._watches.get(watch_id)
        if watch is not None:
            self._forget(watch)
            self._send(watch.id_field, _CANCELED)

    def answer_progress(self) -> None:
        """For all watchers at once, and only if every one has all there is."""
        if self._watches and all(
            watch.watcher is not None and self._hub.is_in_step(watch.watcher)
            for watch in self._watches.values()
        ):
            self._send(_id_field(ALL_WATCHERS), b"")

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._hub.streams -= 1
        for watch in list(self._watches.values()):
            self._forget(watch)
        if self._progress_timer is not None:
            self._progress_timer.cancel()

    # --- the hub's sink ---------------------------------------------------------------------------

    def deliver(self, cohort: Cohort, batch: EventBatch) -> None:
        plan: _Plan | None = cohort.plan
        if plan is None:
            plan = cohort.plan = _Plan([self._by_watcher[each] for each in cohort.watchers])
        for watch in plan.notified:
            watch.had_events = True
        head = self._headers.encoder.field(batch.revision)
        is_alone = len(plan.watches) == 1 or len(batch.body) > SHARED_BYTES_MAX
        respond = self._respond_one_by_one if is_alone else self._respond_at_once
        for told in respond(plan, head, batch):
            if self._outlet.backlog > self._backlog_bytes_min and self._is_behind():
                self._fall_back(plan.watches[:told], batch.revision)
                return

    def _respond_at_once(self, plan: _Plan, head: bytes, batch: EventBatch) -> Iterator[int]:
        """Responses that differ in the id alone; after each step, how many watches are told."""
        told = 0
        for ids in plan.ids:
            size = RESPONSE_PREFIX_BYTES + len(head) + len(ids[0]) + len(batch.body)
            at_once = SHARED_BYTES_MAX // size or 1
            for at in range(0, len(ids), at_once):
                some = ids[at : at + at_once]
                self._outlet.send_each(head, some, batch.body)
                told += len(some)
                yield told

    def _respond_one_by_one(self, plan: _Plan, head: bytes, batch: EventBatch) -> Iterator[int]:
        """As ``_respond_at_once``, in fragments for who asked for them."""
        for told, watch in enumerate(plan.watches, 1):
            begin = head + watch.id_field
            if watch.fragment and len(begin) + len(batch.body) >= self._fragment_bytes:
                bytes_max = self._fragment_bytes - len(begin) - len(_FRAGMENT)
                *parts, last = _split(batch.fields, bytes_max)
                for part in parts:
                    self._outlet.send(b"".join((begin, _FRAGMENT, *part)))
                self._outlet.send(b"".join((begin, *last)))
            else:
                self._outlet.send(begin + batch.body)
            yield told

    def _is_behind(self) -> bool:
        return self._outlet.backlog > self._share() and not self._draining

    def _fall_back(self, told: Sequence[_Watch], revision: int) -> None:
        """The reader is slow: all watchers of the stream leave the hub's round until it drains.
        Those of ``told`` have got ``revision``, which is being handed round."""
        self._draining = True
        self._outlet.when_drained(self._drained)
        for watch in told:
            if watch.watcher is not None:
                self._hub.pause(watch.watcher, seen=revision)
        for slow in self._by_watcher:
            self._hub.pause(slow)

    def compacted(self, watcher: Watcher, compact_revision: int) -> None:
        watch = self._by_watcher.pop(watcher)
        del self._watches[watch.watch_id]
        # etcd's cancellation by compaction names no revision of its own in the header.
        header = self._headers.message().SerializeToString()
        field = b"\x0a" + encode_varint(len(header)) + header
        compact = b"\x28" + encode_varint(compact_revision)
        self._outlet.send(b"".join((field, watch.id_field, _CANCELED, compact)))

    def _share(self) -> int:
        """What may wait here, so that a thousand streams that nobody reads cost what ten do."""
        share = min(self._backlogs_bytes_max // self._hub.streams, self._backlog_bytes_max)
        return max(share, self._backlog_bytes_min)

    def _drained(self) -> None:
        self._draining = False
        for watcher in list(self._by_watcher):
            self._hub.resume(watcher)

    # --- progress -------------------------------------------------------------------------------

    def _arm_progress(self) -> None:
        interval = max(self._member.config.watch_progress_notify_interval_s, PROGRESS_S_MIN)
        parts = self._member.random.randrange(PROGRESS_JITTER_PARTS)  # spreads the streams
        jitter = 1 + PROGRESS_JITTER * parts / PROGRESS_JITTER_PARTS
        self._progress_timer = self._member.scheduler.call_later(
            interval * jitter, self._notify_progress
        )

    def _notify_progress(self) -> None:
        for watch in self._watches.values():
            is_quiet = watch.progress_notify and not watch.had_events
            if is_quiet and watch.watcher is not None and self._hub.is_in_step(watch.watcher):
                self._send(watch.id_field, b"")
            watch.had_events = False
        self._arm_progress()

    # --- inside ---------------------------------------------------------------------------------

    def _forget(self, watch: _Watch) -> None:
        del self._watches[watch.watch_id]
        if watch.watcher is not None:
            self._by_watcher.pop(watch.watcher, None)
            self._hub.cancel(watch.watcher)

    def _send(self, id_field: bytes, rest: bytes) -> None:
        header = self._headers.encoder.field(self._member.store.current_revision)
        self._outlet.send(b"".join((header, id_field, rest)))


def _id_field(watch_id: int) -> bytes:
    return b"\x10" + encode_varint(watch_id) if watch_id else b""


def _split(fields: Sequence[bytes], bytes_max: int) -> list[Sequence[bytes]]:
    """Parts below ``bytes_max`` each, and of at least one event."""
    parts: list[Sequence[bytes]] = []
    part: list[bytes] = []
    size = 0
    for field in fields:
        if part and size + len(field) >= bytes_max:
            parts.append(part)
            part, size = [], 0
        part.append(field)
        size += len(field)
    parts.append(part)
    return parts
