"""The garbage collector: deletes what has lost all its owners, and finishes deletions that wait for
dependents (foregroundDeletion) or leave them behind (orphan).

Owns: those three decisions. Must never do: delete by its own copy: before it acts it asks the
server whether the object and its owners are there, and every write carries the uid.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from apiserver_shim.components.api_client import ApiClient, ApiFailure, Kind, Object
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.controllers.garbage.graph import (
    FOREGROUND,
    ORPHAN,
    Graph,
    Node,
    node_of,
)
from apiserver_shim.components.controllers.garbage.monitors import Monitors
from apiserver_shim.components.ownership import owners_of
from apiserver_shim.components.resources_served import Served
from apiserver_shim.components.work_queue import WorkQueue

log = logging.getLogger("apiserver_shim.garbage")

WORKERS = 4
ABSENT_MAX = 500
"""Owners known to be gone: a uid never comes back."""


@dataclass(slots=True)
class Owners:
    """An object's owners: there to stay, gone, and there only until their dependents are gone."""

    solid: list[Object] = field(default_factory=list)
    absent: list[Object] = field(default_factory=list)
    waiting: list[Object] = field(default_factory=list)


class GarbageCollector:
    def __init__(self, client: ApiClient, clock: Clock) -> None:
        self._client = client
        self._graph = Graph()
        self._monitors = Monitors(client, clock, self._changed)
        self._monitors.gone = self._graph.forget
        self._queue = WorkQueue("garbage-collector", self._look)
        self._absent: OrderedDict[str, None] = OrderedDict()

    def tasks(self) -> list[Callable[[], Awaitable[None]]]:
        return [self._monitors.run, *[self._work] * WORKERS]

    async def _work(self) -> None:
        await self._monitors.synced.wait()
        await self._queue.run()

    def _changed(self, served: Served, old: Object | None, new: Object | None) -> None:
        look: set[str] = set()
        replaced = old is not None and (
            new is None or old["metadata"]["uid"] != new["metadata"]["uid"]
        )
        if old is not None and replaced:
            look |= self._graph.remove(node_of(served, old))
            self._note_absent(old["metadata"]["uid"])
        if new is not None:
            look |= self._graph.put(node_of(served, new))
            node = self._graph.get(new["metadata"]["uid"])
            if node is not None and node.waits_for_dependents:
                look |= {each.uid for each in self._graph.dependents(node.uid)}
        for uid in look:
            self._queue.add("", uid)

    # --- one object -----------------------------------------------------------------------------

    async def _look(self, _: str, uid: str) -> None:
        node = self._graph.get(uid)
        if node is None:
            return
        live = await self._client.get(node.served.kind, node.namespace, node.name)
        if live is None or live["metadata"]["uid"] != uid:
            return  # its watch will say so
        now = node_of(node.served, live)
        if now.orphans_dependents:
            await self._orphan(now, live)
        elif now.waits_for_dependents:
            await self._finish_foreground(now, live)
        elif not now.deleting and now.owners:
            await self._delete_if_unowned(now, live)

    async def _orphan(self, node: Node, live: Object) -> None:
        for each in self._graph.dependents(node.uid):
            await self._drop_owners(each, {node.uid})
        await self._drop_finalizer(node, live, ORPHAN)

    async def _finish_foreground(self, node: Node, live: Object) -> None:
        dependents = self._graph.dependents(node.uid)
        if any(each.blocks(node.uid) for each in dependents):
            for each in dependents:
                if not each.deleting:
                    self._queue.add("", each.uid)
            return
        await self._drop_finalizer(node, live, FOREGROUND)

    async def _delete_if_unowned(self, node: Node, live: Object) -> None:
        owners = await self._classify(node)
        if owners.solid:
            gone = {each["uid"] for each in (*owners.absent, *owners.waiting)}
            if gone:
                await self._drop_owners(node, gone)
            return
        policy = "Background"
        if owners.waiting and self._graph.dependents(node.uid):
            policy = "Foreground"
        elif ORPHAN in node.finalizers:
            policy = "Orphan"
        elif FOREGROUND in node.finalizers:
            policy = "Foreground"
        log.info("%s %s/%s has no owner left", node.served.name, node.namespace, node.name)
        options = {"propagationPolicy": policy, "preconditions": {"uid": node.uid}}
        try:
            await self._client.delete(node.served.kind, node.namespace, node.name, options)
        except ApiFailure as e:
            if e.code != 409:
                raise
            # another object of that name by now

    async def _classify(self, node: Node) -> Owners:
        found = Owners()
        for ref in node.owners:
            if ref["uid"] in self._absent:
                found.absent.append(ref)
                continue
            owner = await self._owner(node, ref)
            if owner is None or owner["metadata"]["uid"] != ref["uid"]:
                self._note_absent(ref["uid"])
                found.absent.append(ref)
            elif _waits(owner) and ref.get("blockOwnerDeletion"):
                found.waiting.append(ref)
            else:
                found.solid.append(ref)
        return found

    async def _owner(self, node: Node, ref: Object) -> Object | None:
        """Asked of the server. Raises for a kind that is not served: then nothing is known."""
        kind = self._kind_of(ref)
        if kind.namespaced and not node.namespace:
            return None  # nobody in a namespace can own what is in none
        return await self._client.get(kind, node.namespace, ref["name"])

    def _kind_of(self, ref: Object) -> Kind:
        group = ref["apiVersion"].rpartition("/")[0]
        for each in self._monitors.served:
            if (each.kind.group, each.name) == (group, ref["kind"]):
                return each.kind
        text = f"the owner {ref['apiVersion']} {ref['kind']} {ref['name']} is of no served kind"
        raise ApiFailure(404, "NotFound", text)

    # --- writes ---------------------------------------------------------------------------------

    async def _drop_owners(self, node: Node, uids: set[str]) -> None:
        live = await self._client.get(node.served.kind, node.namespace, node.name)
        if live is None or live["metadata"]["uid"] != node.uid:
            return
        kept = [each for each in owners_of(live) if each["uid"] not in uids]
        if len(kept) != len(owners_of(live)):
            await self._patch(node, live, {"ownerReferences": kept or None})

    async def _drop_finalizer(self, node: Node, live: Object, finalizer: str) -> None:
        kept = [each for each in live["metadata"]["finalizers"] if each != finalizer]
        await self._patch(node, live, {"finalizers": kept or None})

    async def _patch(self, node: Node, live: Object, changes: Object) -> None:
        """Raises 409 when the object has changed since; then all is looked at again."""
        metadata = {
            "uid": node.uid,
            "resourceVersion": live["metadata"]["resourceVersion"],
            **changes,
        }
        try:
            await self._client.merge(
                node.served.kind, node.namespace, node.name, {"metadata": metadata}
            )
        except ApiFailure as e:
            if e.code != 404:
                raise
            # gone meanwhile

    def _note_absent(self, uid: str) -> None:
        self._absent[uid] = None
        while len(self._absent) > ABSENT_MAX:
            self._absent.popitem(last=False)


def _waits(owner: Object) -> bool:
    metadata = owner["metadata"]
    return "deletionTimestamp" in metadata and FOREGROUND in (metadata.get("finalizers") or ())
