"""Pods made from a template, and pods taken away, for whichever controller.

Owns: the new pod's metadata, and the events that tell of it. Must never do: choose how many.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

from apiserver_shim.components.api_client import ApiFailure, Object
from apiserver_shim.components.controllers.surroundings import Controller
from apiserver_shim.components.informer import Informer
from apiserver_shim.components.kinds import PODS
from apiserver_shim.components.ownership import reference_to

GENERATED_BASE_CHARACTERS_MAX = 58


def pod_from(
    template: Object, owner: Object, *, name: str = "", labels: Mapping[str, str] | None = None
) -> Object:
    """``name`` or, without one, the owner's name and five characters."""
    made = copy.deepcopy(template)
    metadata: Object = {
        key: value
        for key, value in (made.get("metadata") or {}).items()
        if key in ("labels", "annotations", "finalizers") and value
    }
    owner_metadata = owner["metadata"]
    metadata["namespace"] = owner_metadata["namespace"]
    metadata["ownerReferences"] = [reference_to(owner)]
    if labels:
        metadata["labels"] = {**metadata.get("labels", {}), **labels}
    if name:
        metadata["name"] = name
    else:
        metadata["generateName"] = f"{owner_metadata['name']}-"
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": made.get("spec", {})}


class PodMaking:
    def __init__(self, controller: Controller, pods: Informer) -> None:
        self._controller = controller
        self._pods = pods

    async def create(self, owner: Object, pod: Object) -> None:
        """Raises what the server says, and tells it as an event of the owner's."""
        client, events = self._controller.client, self._controller.events
        try:
            made = await client.create(PODS, pod["metadata"]["namespace"], pod)
        except ApiFailure as e:
            if "NamespaceTerminating" not in e.message and "being terminated" not in e.message:
                events.record(owner, "Warning", "FailedCreate", f"Error creating: {e.message}")
            raise
        self._controller.wrote(self._pods, made)
        name = made["metadata"]["name"]
        events.record(owner, "Normal", "SuccessfulCreate", f"Created pod: {name}")

    async def delete(self, owner: Object, pod: Object) -> None:
        """Gone already is as good."""
        client, events = self._controller.client, self._controller.events
        metadata = pod["metadata"]
        options = {"preconditions": {"uid": metadata["uid"]}}
        try:
            gone = await client.delete(PODS, metadata["namespace"], metadata["name"], options)
        except ApiFailure as e:
            if e.code == 409:
                return  # another pod of that name: ours is gone
            why = f"Error deleting: {e.message}"
            events.record(owner, "Warning", "FailedDelete", why)
            raise
        if gone is not None:
            self._controller.wrote(self._pods, gone)
            told = f"Deleted pod: {metadata['name']}"
            events.record(owner, "Normal", "SuccessfulDelete", told)
