"""Follows the definitions in the shim's copy: what they define is served at once.

Owns: the catalogue's custom part, the definitions' conditions, and the end of a definition: its
objects go first. Must never do: keep anything that the store does not have; each shim follows by
itself, and of two that write the same status one is too late and lets it be.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from apiserver_shim.api.metadata import timestamp
from apiserver_shim.api.status import ApiError
from apiserver_shim.api.stored import StoredObject, encoded
from apiserver_shim.custom.resources import CLEANUP, name_conflict, resources_of, status_of
from apiserver_shim.parts import Parts
from apiserver_shim.resources.resource import Resource
from raftkv.errors import RaftKVError

log = logging.getLogger("apiserver_shim.custom")

AGAIN_S = 1.0
"""Between two looks at a definition whose objects are going."""

Object = dict[str, Any]


class DefinitionFollower:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        found = parts.catalogue.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        assert found is not None, "customresourcedefinitions are not served"
        self._resource = found
        self._served: dict[str, tuple[int, list[Resource]]] = {}

    async def run(self) -> None:
        """For ever; a broken copy is followed anew."""
        while True:
            try:
                await self._parts.mirror.reach(1)
                await self._follow()
            except (ApiError, RaftKVError) as e:
                log.info("definitions: %s", e)

    async def _follow(self) -> None:
        collection = self._parts.mirror.collection(self._resource.prefix)
        subscription = collection.subscribe(self._parts.mirror.revision)
        try:
            while True:
                waiting = await self.sync()
                try:
                    async with asyncio.timeout(AGAIN_S if waiting else None):
                        await subscription.take()
                except TimeoutError:
                    continue  # objects of a definition that goes may be gone by now
        finally:
            collection.unsubscribe(subscription)

    async def sync(self) -> bool:
        """Serve what is defined now. Whether some definition waits for its objects to go."""
        prefix = self._resource.prefix
        now = {s.name: s for s in self._parts.mirror.collection(prefix).objects(prefix)}
        for name in self._served.keys() - now.keys():
            self._forget(name)
        order = sorted(now.values(), key=lambda s: s.object["metadata"]["creationTimestamp"])
        waiting = False
        for stored in order:
            known = self._served.get(stored.name)
            if known is None or known[0] != stored.revision:
                await self._take(stored)
            if "deletionTimestamp" in stored.object["metadata"]:
                waiting = not await self._clean(stored) or waiting
        return waiting

    async def _take(self, stored: StoredObject) -> None:
        definition = stored.copy()
        if not _is_sound(definition):
            log.warning("%s is no definition that can be served", stored.name)
            self._forget(stored.name)
            self._served[stored.name] = (stored.revision, [])
            return
        mine = self._served.get(stored.name, (0, []))[1]
        others = [r for r in self._parts.catalogue if r not in mine]
        conflict = name_conflict(definition, others)
        if not conflict[0]:
            self._serve(stored, definition)
        else:
            self._forget(stored.name)
            self._served[stored.name] = (stored.revision, [])
        status = status_of(definition, conflict, timestamp(self._parts.now()))
        if definition.get("status") != status:
            definition["status"] = status
            await self._parts.registry.write(stored.key, encoded(definition), stored.revision)

    def _serve(self, stored: StoredObject, definition: Object) -> None:
        rows = resources_of(definition)
        for old in self._served.get(stored.name, (0, []))[1]:
            self._parts.definitions.set_custom(old, None)
        for resource, schema in rows:
            self._parts.definitions.set_custom(resource, schema)
        resources = [resource for resource, _ in rows]
        self._parts.catalogue.set_custom(stored.name, tuple(resources))
        self._served[stored.name] = (stored.revision, resources)

    def _forget(self, name: str) -> None:
        for resource in self._served.pop(name, (0, []))[1]:
            self._parts.definitions.set_custom(resource, None)
        self._parts.catalogue.set_custom(name, ())

    # --- the end of a definition ----------------------------------------------------------------

    async def _clean(self, stored: StoredObject) -> bool:
        """Delete its objects; once none is left, let the definition go. Whether it is done."""
        definition = stored.copy()
        finalizers = definition["metadata"].get("finalizers", [])
        if CLEANUP not in finalizers:
            return True
        spec = definition["spec"]
        prefix = f"/registry/{spec['group']}/{spec['names']['plural']}/"
        await self._parts.mirror.catch_up()
        left = list(self._parts.mirror.collection(prefix).objects(prefix))
        for each in left:
            await self._remove(each)
        if left:
            return False
        definition["metadata"]["finalizers"] = [each for each in finalizers if each != CLEANUP]
        if definition["metadata"]["finalizers"]:
            await self._parts.registry.write(stored.key, encoded(definition), stored.revision)
        else:
            await self._parts.registry.delete(stored.key, stored.revision)
        return True

    async def _remove(self, stored: StoredObject) -> None:
        """An object with finalizers is marked, and goes when they have."""
        obj = stored.copy()
        metadata = obj["metadata"]
        if not metadata.get("finalizers"):
            await self._parts.registry.delete(stored.key, stored.revision)
        elif "deletionTimestamp" not in metadata:
            metadata["deletionTimestamp"] = timestamp(self._parts.now())
            metadata["deletionGracePeriodSeconds"] = 0
            await self._parts.registry.write(stored.key, encoded(obj), stored.revision)


def _is_sound(definition: Object) -> bool:
    """What others have put into the store may break the rules that this server checks."""
    try:
        return bool(resources_of(definition))
    except (KeyError, TypeError, AttributeError, StopIteration):
        return False
