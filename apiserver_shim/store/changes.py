"""What happened to the objects under one prefix, for those who watch it.

Owns: Collection (its objects now, the last changes, its subscribers) and Subscription. Must never
do: read the store; the mirror feeds it, in the order of revisions.
A subscriber that does not keep up is ended, as a real apiserver ends it: the client watches again
from the last revision that it has seen.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from apiserver_shim.api.status import ApiError, expired
from apiserver_shim.api.stored import StoredObject

HISTORY_MAX = 4096
"""Changes of one collection that a watch may start behind."""
BACKLOG_MAX = 4096
"""Changes that may wait for one subscriber."""


@dataclass(frozen=True, slots=True)
class Change:
    """``old`` and ``new``: before and after; None where the object was not or is no more. Both None
    is a bookmark: everything up to ``revision`` has been told."""

    revision: int
    old: StoredObject | None
    new: StoredObject | None


class Subscription:
    """Changes in order; ``take`` waits for the next. Ends with an error when it cannot go on."""

    def __init__(self) -> None:
        self._waiting: deque[Change] = deque()
        self._woken = asyncio.Event()
        self._ended: ApiError | None = None

    def tell(self, change: Change) -> None:
        if len(self._waiting) >= BACKLOG_MAX:
            self._waiting.clear()
            self.end(expired("the watch fell behind: start again from the last version seen"))
            return
        self._waiting.append(change)
        self._woken.set()

    def end(self, error: ApiError) -> None:
        self._ended = self._ended or error
        self._woken.set()

    @property
    def is_idle(self) -> bool:
        return not self._waiting

    async def take(self) -> Change:
        """Raises what ended the subscription, after what came before it."""
        while not self._waiting:
            if self._ended is not None:
                raise self._ended
            self._woken.clear()
            await self._woken.wait()
        return self._waiting.popleft()


class Collection:
    """``floor``: changes after this revision are all known."""

    def __init__(self, floor: int) -> None:
        self._objects: dict[str, StoredObject] = {}
        self._sorted: list[str] | None = None
        self._history: deque[Change] = deque()
        self._floor = floor
        self._subscriptions: set[Subscription] = set()

    def load(self, stored: StoredObject) -> None:
        """An object that is older than any change."""
        self._objects[stored.key] = stored
        self._sorted = None

    def put(self, stored: StoredObject) -> None:
        old = self._objects.get(stored.key)
        if old is None:
            self._sorted = None
        self._objects[stored.key] = stored
        self._tell(Change(stored.revision, old, stored))

    def remove(self, key: str, revision: int) -> None:
        old = self._objects.pop(key, None)
        if old is not None:
            self._sorted = None
            self._tell(Change(revision, old, None))

    def get(self, key: str) -> StoredObject | None:
        return self._objects.get(key)

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """Those whose key starts with ``prefix``, in order of keys."""
        if self._sorted is None:
            self._sorted = sorted(self._objects)
        for key in self._sorted:
            if key.startswith(prefix):
                yield self._objects[key]

    def subscribe(self, after: int) -> Subscription:
        """All changes after that revision. Raises 410 when they are not all known any more."""
        if after < self._floor:
            raise expired(f"too old resource version: {after} ({self._floor})")
        subscription = Subscription()
        for change in self._history:
            if change.revision > after:
                subscription.tell(change)
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)

    def close(self, error: ApiError) -> None:
        for subscription in self._subscriptions:
            subscription.end(error)
        self._subscriptions.clear()

    def _tell(self, change: Change) -> None:
        if len(self._history) >= HISTORY_MAX:
            self._floor = self._history.popleft().revision
        self._history.append(change)
        for subscription in self._subscriptions:
            subscription.tell(change)
