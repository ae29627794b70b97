"""Deleted namespaces: everything in them goes first.

Owns: emptying a namespace by discovery, and then its finalizer. Must never do: let a namespace go
that still holds something.
"""

from __future__ import annotations

from apiserver_shim.components.api_client import ApiFailure, Object
from apiserver_shim.components.conditions import with_condition
from apiserver_shim.components.controllers.surroundings import Controller, Surroundings
from apiserver_shim.components.kinds import NAMESPACES
from apiserver_shim.components.ownership import is_being_deleted
from apiserver_shim.components.resources_served import Served, served

FINALIZER = "kubernetes"
AGAIN_S = 0.5
"""Contents that wait for their own finalizers, or a pod for its kubelet, are looked at again."""
REMAINING_TOLD_MAX = 10

_ALL_WELL = {
    "NamespaceDeletionDiscoveryFailure": (
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    "NamespaceDeletionGroupVersionParsingFailure": (
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": (
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    ),
}


class NamespaceController(Controller):
    title = "namespace-controller"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._namespaces = around.informers.of(NAMESPACES)
        self.follow(self._namespaces)

    async def reconcile(self, namespace: str, name: str) -> None:
        found = self._namespaces.get("", name)
        if found is None or not is_being_deleted(found):
            return
        finalizers = (found.get("spec") or {}).get("finalizers") or []
        if FINALIZER not in finalizers:
            return
        left, failure = await self._empty(name)
        status = self._status(found, left, failure)
        await self.put_status(NAMESPACES, self._namespaces, found, status)
        if left or failure:
            self.queue.add_later("", name, AGAIN_S)
            return
        live = await self.client.get(NAMESPACES, "", name)
        if live is None or live["metadata"]["uid"] != found["metadata"]["uid"]:
            return
        kept = [each for each in live["spec"].get("finalizers") or () if each != FINALIZER]
        spec = {**live["spec"], "finalizers": kept}
        await self.client.update(NAMESPACES, {**live, "spec": spec}, "finalize")

    async def _empty(self, name: str) -> tuple[dict[str, list[Object]], str]:
        """What is left of each resource after deleting all, and the first failure."""
        left: dict[str, list[Object]] = {}
        failure = ""
        for each in await served(self.client):
            if not each.kind.namespaced or not {"list", "delete"} <= each.verbs:
                continue
            try:
                remaining = await self._empty_of(each, name)
            except ApiFailure as e:
                if e.code not in (404, 405):
                    failure = failure or str(e)
                continue  # a kind that has gone since discovery holds nothing
            if remaining:
                qualified = f"{each.kind.plural}.{each.kind.group}".rstrip(".")
                left[qualified] = remaining
        return left, failure

    async def _empty_of(self, each: Served, name: str) -> list[Object]:
        found = await self.client.list(each.kind, name)
        if not found["items"]:
            return []
        options = {"propagationPolicy": "Background"}
        if "deletecollection" in each.verbs:
            await self.client.delete(each.kind, name, "", options)
        else:
            for item in found["items"]:
                await self.client.delete(each.kind, name, item["metadata"]["name"], options)
        remaining: list[Object] = (await self.client.list(each.kind, name))["items"]
        return remaining

    def _status(self, found: Object, left: dict[str, list[Object]], failure: str) -> Object:
        status = dict(found.get("status", {}))
        told = {kind: ("False", *words) for kind, words in _ALL_WELL.items()}
        if failure:
            told["NamespaceDeletionContentFailure"] = ("True", "ContentDeletionFailed", failure)
        if left:
            counts = [f"{name} has {len(items)} resource instances" for name, items in left.items()]
            text = f"Some resources are remaining: {', '.join(counts[:REMAINING_TOLD_MAX])}"
            told["NamespaceContentRemaining"] = ("True", "SomeResourcesRemain", text)
        held: dict[str, int] = {}
        for items in left.values():
            for item in items:
                for finalizer in item["metadata"].get("finalizers") or ():
                    held[finalizer] = held.get(finalizer, 0) + 1
        if held:
            counts = [f"{name} in {count} resource instances" for name, count in held.items()]
            text = f"Some content in the namespace has finalizers remaining: {', '.join(counts)}"
            told["NamespaceFinalizersRemaining"] = ("True", "SomeFinalizersRemain", text)
        conditions = list(status.get("conditions") or ())
        for kind, (value, reason, message) in told.items():
            conditions = with_condition(
                conditions, kind, value, self.clock.stamp(), reason, message
            )
        return {**status, "phase": "Terminating", "conditions": conditions}
