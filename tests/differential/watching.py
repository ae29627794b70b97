"""The one Watch stream that an example has on each store, and what it got, watcher by watcher.

Owns: Watching (the stream) and Life (one watcher from its creation on). Must never do: know when
a store has sent all: the player has that from fences.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import grpc

from raftkv.api import rpc_pb2 as pb
from tests.differential.store import Store
from tests.e2e.waiting import TimedOut

WAIT_SECONDS = 20.0
FENCE_ID_FIRST = 1_000_000
ALL_WATCHERS = -1


@dataclass
class Life:
    """One watcher. ``batches`` is (header's revision, number of events) of each response."""

    created: dict[str, Any]
    start: int
    in_step: bool
    events: list[dict[str, Any]] = field(default_factory=list)
    batches: list[tuple[int, int]] = field(default_factory=list)
    canceled: dict[str, Any] | None = None

    @property
    def is_over(self) -> bool:
        return self.canceled is not None or bool(self.created.get("canceled"))

    def shape(self) -> dict[str, Any]:
        """What must be equal. How a watcher that catches up has its events cut into responses is
        a matter of timing."""
        found: dict[str, Any] = {"created": self.created, "events": self.events}
        if self.in_step:
            found["batches"] = self.batches
        if self.canceled is not None:
            found["canceled"] = self.canceled
        return found


class Watching:
    """A Watch stream on one member of ``store``, read by a thread of its own."""

    def __init__(self, store: Store, member: int) -> None:
        self._store = store
        self._requests: SimpleQueue[bytes | None] = SimpleQueue()
        self._responses: list[pb.WatchResponse] = []
        self._error: grpc.RpcError | None = None
        self._changed = threading.Condition()
        self._starts: list[tuple[int, bool]] = []
        channel = store.channels[member % len(store.channels)]
        self._call = channel.stream_stream("/etcdserverpb.Watch/Watch")(
            iter(self._requests.get, None)
        )
        threading.Thread(target=self._pump, daemon=True).start()

    def send(self, **request: Any) -> None:
        self._requests.put(pb.WatchRequest(**request).SerializeToString())

    def create(self, fields: dict[str, Any], *, in_step: bool) -> None:
        """Returns once it was answered."""
        count = self._count_created()
        if fields.get("watch_id", 0) < FENCE_ID_FIRST:
            self._starts.append((fields.get("start_revision", 0), in_step))
        self.send(create_request=fields)
        self.wait(lambda: self._count_created() > count, f"the answer to the create {fields}")

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        with self._changed:
            while not condition():
                if self._error is not None:
                    raise AssertionError(f"{self._store.name}'s Watch stream: {self._error}")
                if not self._changed.wait(max(deadline - time.monotonic(), 0)):
                    raise TimedOut(f"{self._store.name}: {seconds:g} s without {what}")

    def wait_alike(self, other: Watching, seconds: float) -> bool:
        """Until this stream's lives equal those of ``other``, which has all it will get."""
        wanted = other.shapes()
        what = "the responses that the other store sent"
        try:
            self.wait(lambda: self.shapes() == wanted, what, seconds)
        except TimedOut:
            return False
        return True

    def has_events_of(self, watch_id: int) -> bool:
        return any(each.watch_id == watch_id and each.events for each in list(self._responses))

    def progress(self) -> list[int]:
        """The revisions of the answers to progress requests."""
        return [
            each.header.revision
            for each in self._responses
            if each.watch_id == ALL_WATCHERS and not each.created
        ]

    def all_have_begun(self, revision: int) -> bool:
        """Whether there are watchers, none of which waits for a revision after ``revision``."""
        live = [life for life in self._lives() if not life.is_over]
        return bool(live) and all(life.start <= revision for life in live)

    def is_live(self, watch_id: int) -> bool:
        live = False
        for response in list(self._responses):
            if response.watch_id == watch_id and (response.created or response.canceled):
                live = not response.canceled
        return live

    def shapes(self) -> list[dict[str, Any]]:
        return [life.shape() for life in self._lives()]

    def close(self) -> None:
        self._requests.put(None)
        self._call.cancel()

    def _lives(self) -> list[Life]:
        lives: list[Life] = []
        current: dict[int, Life] = {}
        for response in list(self._responses):
            number = response.watch_id
            if number >= FENCE_ID_FIRST or (number == ALL_WATCHERS and not response.created):
                continue
            plain = self._store.plain(response)
            if response.created:
                current[number] = Life(plain, *self._starts[len(lives)])
                lives.append(current[number])
                continue
            life = current[number]
            if response.events:
                life.events += plain["events"]
                life.batches.append((response.header.revision, len(response.events)))
            if response.canceled:
                life.canceled = plain
        return lives

    def _count_created(self) -> int:
        return sum(response.created for response in list(self._responses))

    def _pump(self) -> None:
        try:
            for payload in self._call:
                response = pb.WatchResponse.FromString(payload)
                with self._changed:
                    self._responses.append(response)
                    self._changed.notify_all()
        except grpc.RpcError as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()
