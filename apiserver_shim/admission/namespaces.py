"""NamespaceLifecycle: objects are made in namespaces that are there and stay.

Owns: that check, and which namespaces cannot be deleted. Must never do: delete anything.
"""

from __future__ import annotations

from apiserver_shim.api.admission import Write
from apiserver_shim.api.status import ApiError, Cause, forbidden, not_found
from apiserver_shim.api.stored import StoredObject
from apiserver_shim.parts import Parts
from apiserver_shim.resources.resource import Resource

IMMORTAL = ("default", "kube-system", "kube-public")


class NamespaceLifecycle:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        found = parts.catalogue.find("", "v1", "namespaces")
        assert found is not None, "namespaces are not served"
        self._namespaces: Resource = found

    async def __call__(self, write: Write) -> None:
        """Raises 404 for a namespace that is not there and 403 for one that goes."""
        target = write.target
        if write.new is None:
            if target.resource is self._namespaces and target.name in IMMORTAL:
                raise forbidden(target.resource, target.name, "this namespace may not be deleted")
            return
        if write.old is not None or not target.resource.namespaced:
            return
        found = await self._find(target.namespace)
        if found is None:
            raise not_found(self._namespaces, target.namespace)
        if found.object.get("status", {}).get("phase") == "Terminating":
            raise terminating(target.resource, write.new["metadata"]["name"], target.namespace)

    async def _find(self, name: str) -> StoredObject | None:
        """From the copy; one that the copy does not have yet, from the store."""
        key = self._namespaces.key("", name)
        copy = self._parts.mirror
        found = copy.collection(self._namespaces.prefix).get(key) if copy.is_ready else None
        return found or await self._parts.registry.get(key)


def terminating(resource: Resource, name: str, namespace: str) -> ApiError:
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = Cause(
        "NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace"
    )
    return forbidden(resource, name, why, [cause])
