"""Plays one example on raftkv and on etcd, and says where their answers differ.

Owns: Pair: the common state in which each example begins, the order of play, and when a Watch
stream has got everything. Both stores do the same writes, so they are at the same revision at all
times and answers are compared as they are. Must never do: forgive a difference that is not in
``known_differences``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.differential.known_differences import expected, parts
from tests.differential.operations import (
    Bytes,
    KeepAlive,
    Operation,
    Unary,
    WatchCancel,
    WatchCreate,
    WatchOnce,
    WatchProgress,
    is_auth,
    script,
)
from tests.differential.store import Outcome, Store
from tests.differential.watch_once import watched_once
from tests.differential.watching import FENCE_ID_FIRST, WAIT_SECONDS, Watching
from tests.e2e.waiting import TimedOut

FENCE_KEY = b"\xff\xff fence"
RESET_KEY = b"\0 reset"
ALIGNING_PUTS_MAX = 10_000
SHRINKING_SECONDS = 1.0
"""How long raftkv may take for what etcd has sent, once a difference is known and is shrunk."""


class Difference(AssertionError):
    """The two stores answered differently in a way that nobody has explained."""


@dataclass(frozen=True)
class Found:
    """What differs: at which operation, and both answers."""

    operation: Operation | None
    ours: object
    theirs: object

    def __str__(self) -> str:
        return f"at {self.operation}\n  raftkv: {self.ours}\n  etcd:   {self.theirs}"


class Pair:
    """raftkv and etcd, kept alike."""

    def __init__(self, ours: Store, theirs: Store) -> None:
        self.ours = ours
        self.theirs = theirs
        self.stores = (ours, theirs)
        self.played = 0
        self.alike_seconds = WAIT_SECONDS

    def check(self, operations: list[Operation]) -> None:
        """Raises Difference, with a program that shows it again."""
        found = self.play(operations)
        if found is not None:
            self.alike_seconds = SHRINKING_SECONDS
            text = script(operations, members=len(self.ours.channels))
            raise Difference(f"{found}\n\nThis program shows it again:\n\n{text}\n")

    def play(self, operations: list[Operation]) -> Found | None:
        self.align()
        has_auth = any(isinstance(each, Unary) and is_auth(each.method) for each in operations)
        if has_auth:
            for store in self.stores:
                store.logins.begin()
        example = _Example(self)
        try:
            for operation in operations:
                self.played += 1
                try:
                    found = example.step(operation)
                except TimedOut as silence:
                    found = Found(operation, str(silence), "an answer, or the same silence")
                if found is not None:
                    return found
                if example.has_parted:
                    break
            return example.end()
        finally:
            example.close()
            if has_auth:
                for store in self.stores:
                    store.logins.end()

    def align(self) -> None:
        """Both at one revision, compacted at it, with nothing but the key that was put there."""
        for store in self.stores:
            for lease in store.call("Lease/LeaseLeases").leases:
                store.call("Lease/LeaseRevoke", ID=lease.ID)
            store.call("KV/DeleteRange", key=b"\0", range_end=b"\0")
            store.chosen.clear()
        behind, ahead = sorted(self.stores, key=Store.revision)
        missing = ahead.revision() - behind.revision()
        assert missing <= ALIGNING_PUTS_MAX, f"{behind.name} is {missing} revisions behind"
        for _ in range(missing):
            behind.call("KV/Put", key=RESET_KEY)
        for store in self.stores:
            store.base = store.call("KV/Put", key=RESET_KEY).header.revision
            store.call("KV/Compact", revision=store.base)
        bases = [store.base for store in self.stores]
        assert bases[0] == bases[1], f"the stores are not at one revision: {bases}"

    def judged(self, operation: Operation, ours: Any, theirs: Any) -> Found | None:
        if isinstance(theirs, Outcome):
            theirs = expected(operation, ours, theirs)
        return None if ours == theirs else Found(operation, ours, theirs)


class _Example:
    """The streams of one example."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._watching: list[Watching] = []
        self._fences = 0
        self._compacted = 0
        self.has_parted = False
        """The stores did different things, for a known reason: what follows cannot be compared."""

    def step(self, operation: Operation) -> Found | None:
        if isinstance(operation, Unary | Bytes | KeepAlive):
            if self._watching and _compacts(operation):
                found = self._settle(operation)  # what catches up would be cut off, or not
                if found is not None:
                    return found
            calls = [store.start(operation) for store in self._pair.stores]
            ours, theirs = (
                store.finish(operation, call)
                for store, call in zip(self._pair.stores, calls, strict=True)
            )
            if _compacts(operation) and theirs.code == "OK" and isinstance(operation, Unary):
                self._compacted = self._pair.theirs.resolved(operation.fields["revision"])
            self.has_parted = parts(operation, ours, theirs)
            return self._pair.judged(operation, ours, theirs)
        if isinstance(operation, WatchOnce):
            told = [watched_once(store, operation) for store in self._pair.stores]
            return self._pair.judged(operation, *told)
        if isinstance(operation, WatchCreate):
            return self._create(operation)
        if not self._watching:
            return None
        found = self._settle(operation)
        if found is not None:
            return found
        if isinstance(operation, WatchCancel):
            for watching in self._watching:
                live = watching.is_live(operation.watch_id)
                watching.send(cancel_request={"watch_id": operation.watch_id})
                if live:
                    watching.wait(
                        lambda w=watching: not w.is_live(operation.watch_id), "the cancellation"
                    )
            return None
        return self._ask_progress(operation)

    def end(self) -> Found | None:
        return self._settle(None) if self._watching else None

    def close(self) -> None:
        for watching in self._watching:
            watching.close()

    def _create(self, operation: WatchCreate) -> Found | None:
        if not self._watching:
            self._watching = [Watching(store, self._pair.played) for store in self._pair.stores]
        for store, watching in zip(self._pair.stores, self._watching, strict=True):
            store.catch_up(self._pair.played)
            fields = store.resolved(operation.fields)
            start = fields.get("start_revision", 0)
            if start == self._compacted and start > 0:
                # 3.5.1 loses a tombstone at the compacted revision, later versions keep it.
                fields["start_revision"] = start = start + 1
            watching.create(fields, in_step=start == 0 or start > store.revision())
        return None

    def _ask_progress(self, operation: WatchProgress) -> Found | None:
        """Since 3.5.8 only a stream whose watchers all have what there is gets an answer; 3.5.1
        answers always."""
        before = [len(watching.progress()) for watching in self._watching]
        theirs = self._watching[1]
        is_due = theirs.all_have_begun(self._pair.theirs.revision())
        for watching in self._watching:
            watching.send(progress_request={})
        found = self._settle(operation)
        answers = [
            watching.progress()[count:]
            for watching, count in zip(self._watching, before, strict=True)
        ]
        wanted = answers[1] if is_due else []
        return found or self._pair.judged(operation, answers[0], wanted)

    def _settle(self, operation: Operation | None) -> Found | None:
        """Until etcd has sent all it will, and raftkv the same."""
        for store, watching in zip(self._pair.stores, self._watching, strict=True):
            for number in (0, 1):
                self._fence(store, watching, FENCE_ID_FIRST + 2 * self._fences + number)
        self._fences += 1
        ours, theirs = self._watching
        if ours.wait_alike(theirs, self._pair.alike_seconds):
            return None
        return self._pair.judged(operation or WatchProgress(), ours.shapes(), theirs.shapes())

    def _fence(self, store: Store, watching: Watching, number: int) -> None:
        """etcd lets watchers that lag behind catch up in rounds, all of a stream together. When a
        watcher of the past has got its event, a round has begun after what was to be waited
        for; when a second one has, that round is over."""
        put = store.call("KV/Put", key=FENCE_KEY).header.revision
        watching.create(
            {"key": FENCE_KEY, "watch_id": number, "start_revision": put}, in_step=False
        )
        watching.wait(lambda: watching.has_events_of(number), "the fence's event")
        watching.send(cancel_request={"watch_id": number})


def _compacts(operation: Unary | Bytes | KeepAlive) -> bool:
    return not isinstance(operation, KeepAlive) and operation.method == "KV/Compact"
