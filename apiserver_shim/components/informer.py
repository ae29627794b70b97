"""A component's copy of one kind, kept by list and watch.

Owns: the copy, and telling of each change. Must never do: miss one: what changed while the
watch was broken is found by comparing the new list with the copy.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

from apiserver_shim.components.api_client import UNREACHABLE, ApiClient, ApiFailure, Kind, Object

log = logging.getLogger("apiserver_shim.informer")

AGAIN_S_MIN, AGAIN_S_MAX = 0.2, 5.0
REACH_S_MAX = 10.0

Changed = Callable[[Object | None, Object | None], None]
"""The object before and after; None where it was not or is no more."""


class Informer:
    """``run`` is a task of its owner's. ``query`` may hold selectors."""

    def __init__(
        self,
        client: ApiClient,
        kind: Kind,
        namespace: str = "",
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        form: str = "",
        **query: str,
    ) -> None:
        self._client = client
        self._kind = kind
        self._namespace = namespace
        self._query = query
        self._pause = pause
        self._form = form
        self._moved = asyncio.Condition()
        self.revision = 0
        """The newest resourceVersion that the copy has seen: they grow with time."""
        self._objects: dict[tuple[str, str], Object] = {}
        self._names: dict[str, dict[str, None]] = {}
        """Those of each namespace."""
        self._listeners: list[Changed] = []
        self.synced = asyncio.Event()
        """Set once the first list is in the copy."""

    def listen(self, changed: Changed) -> None:
        self._listeners.append(changed)

    def get(self, namespace: str, name: str) -> Object | None:
        """The copy's own: read it, do not change it."""
        return self._objects.get((namespace, name))

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._objects.values()))

    def of(self, namespace: str) -> Iterator[Object]:
        return iter([self._objects[(namespace, name)] for name in self._names.get(namespace, ())])

    async def reach(self, revision: int, seconds: float = REACH_S_MAX) -> None:
        """Until the copy shows what was written at ``revision``. Raises TimeoutError."""
        if self.revision >= revision:
            return
        async with asyncio.timeout(seconds), self._moved:
            await self._moved.wait_for(lambda: self.revision >= revision)

    async def run(self) -> None:
        """List, watch, and again, for ever."""
        pause = AGAIN_S_MIN
        while True:
            try:
                revision = await self._list()
                pause = AGAIN_S_MIN
                await self._watch(revision)
            except ApiFailure as e:
                if e.code != 410:
                    log.warning("%s: %s", self._kind.plural, e)
            except UNREACHABLE as e:
                log.info("%s: %s", self._kind.plural, e or type(e).__name__)
            await self._pause(pause)
            pause = min(pause * 2, AGAIN_S_MAX)

    async def _list(self) -> str:
        found = await self._client.list(self._kind, self._namespace, form=self._form, **self._query)
        now = {_key(each): each for each in found["items"]}
        for key in list(self._objects.keys() - now.keys()):
            self._set(key, None)
        for key, each in now.items():
            before = self._objects.get(key)
            if before is None or _version(before) != _version(each):
                self._set(key, each)
        self.synced.set()
        revision: str = found["metadata"]["resourceVersion"]
        await self._note(revision)
        return revision

    async def _watch(self, revision: str) -> None:
        """Until it cannot go on; a stream that merely ended is taken up where it was."""
        while True:
            async for event, each in self._client.watch(
                self._kind, self._namespace, revision, form=self._form, **self._query
            ):
                revision = _version(each)
                if event != "BOOKMARK":
                    self._set(_key(each), None if event == "DELETED" else each)
                await self._note(revision)

    async def _note(self, revision: str) -> None:
        self.revision = max(self.revision, int(revision))
        async with self._moved:
            self._moved.notify_all()

    def _set(self, key: tuple[str, str], new: Object | None) -> None:
        old = self._objects.pop(key, None)
        if new is not None:
            self._objects[key] = new
            self._names.setdefault(key[0], {})[key[1]] = None
        elif old is not None:
            del self._names[key[0]][key[1]]
        for changed in self._listeners:
            changed(old, new)


def _key(obj: Object) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _version(obj: Object) -> str:
    version: str = obj["metadata"]["resourceVersion"]
    return version
