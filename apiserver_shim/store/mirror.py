"""A copy of everything under /registry, kept by one watch.

Owns: the watch of the store, the collections that it feeds, and how far it has come. Must never do:
write, or answer from a copy that is older than what the client may ask for.
One watch over all keys gives all kinds in one order, and the copy's revision always comes to be the
store's. So a consistent list is one small linearizable read, then the copy (as Kubernetes does it
since 1.31).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from apiserver_shim.api.status import ApiError, expired, too_large_revision, unavailable
from apiserver_shim.api.stored import StoredObject
from apiserver_shim.resources.resource import REGISTRY
from apiserver_shim.store.changes import Collection
from apiserver_shim.store.registry import Registry
from raftkv.api.kv_pb2 import Event
from raftkv.client import Client
from raftkv.errors import Compacted, RaftKVError

log = logging.getLogger("apiserver_shim.mirror")

LOAD_PAGE = 2000
CATCH_UP_S_MAX = 3.0
"""How long a request may wait for the copy to come to a revision."""
RESTART_PAUSE_S = 1.0


class Mirror:
    """``run`` is a task of its owner's. Until the first load ``collection`` raises 503."""

    def __init__(self, client: Client, registry: Registry) -> None:
        self._client = client
        self._registry = registry
        self._collections: dict[str, Collection] = {}
        self._loaded_at = 0
        self._moved = asyncio.Condition()
        self.revision = 0
        self.on_event: Callable[[Event], None] = lambda event: None

    @property
    def is_ready(self) -> bool:
        return self.revision > 0

    async def run(self) -> None:
        """Load and follow, for ever."""
        while True:
            try:
                await self._load()
                await self._follow()
            except Compacted as e:
                log.warning("the copy fell behind a compaction (%s) and is made anew", e)
            except RaftKVError as e:
                log.warning("the store does not answer (%s); trying again", e)
                await asyncio.sleep(RESTART_PAUSE_S)
            self._forget()

    def collection(self, prefix: str) -> Collection:
        """Of a resource's prefix, /registry/pods/ say."""
        if not self.is_ready:
            raise unavailable("the server is loading its objects, please try again")
        found = self._collections.get(prefix)
        if found is None:
            found = self._collections[prefix] = Collection(self._loaded_at)
        return found

    async def reach(self, revision: int) -> None:
        """Return once the copy has come to ``revision``. Raises 504 when it does not in time."""
        if self.revision >= revision:
            return
        try:
            async with asyncio.timeout(CATCH_UP_S_MAX), self._moved:
                await self._moved.wait_for(lambda: self.revision >= revision)
        except TimeoutError:
            raise too_large_revision(revision, self.revision) from None

    async def catch_up(self) -> int:
        """Come to what the store has now, and say which revision that is."""
        revision = await self._registry.revision()
        await self.reach(revision)
        return self.revision

    # --- the watch ------------------------------------------------------------------------------

    async def _load(self) -> None:
        start, revision = REGISTRY, 0
        collections: dict[str, Collection] = {}
        while True:
            page = await self._registry.page(REGISTRY, start, LOAD_PAGE, revision)
            revision = page.revision
            for stored in page.found:
                prefix = prefix_of(stored.key)
                collections.setdefault(prefix, Collection(revision)).load(stored)
            if not page.remaining:
                break
            start = page.last + "\0"
        self._collections = collections
        self._loaded_at = revision
        await self._note(revision)

    async def _follow(self) -> None:
        watch = self._client.watch(b"\0", range_end=b"\0", start_revision=self.revision + 1)
        async for response in watch:
            for event in response.events:
                self._take(event)
            await self._note(response.events[-1].kv.mod_revision)

    def _take(self, event: Event) -> None:
        key = event.kv.key
        if not key.startswith(b"/registry/"):
            return
        name, revision = key.decode(), event.kv.mod_revision
        collection = self.collection(prefix_of(name))
        if event.type == Event.PUT:
            collection.put(StoredObject(name, event.kv.value, revision))
        else:
            collection.remove(name, revision)
        self.on_event(event)

    async def _note(self, revision: int) -> None:
        async with self._moved:
            self.revision = revision
            self._moved.notify_all()

    def _forget(self) -> None:
        error: ApiError = expired("the server's copy of the objects was made anew: list again")
        for collection in self._collections.values():
            collection.close(error)
        self.revision = 0


def prefix_of(key: str) -> str:
    """The collection that a key belongs to: two words deep for services and for named groups."""
    words = key[len(REGISTRY) :].split("/")
    deep = len(words) > 2 and (words[0] == "services" or "." in words[0])
    return f"{REGISTRY}{'/'.join(words[: 2 if deep else 1])}/"
