"""POST pods/{name}/binding: a scheduler says on which node a pod shall run.

Owns: that the first binding wins. Must never do: move a pod that has a node.
"""

from __future__ import annotations

from typing import Any

from apiserver_shim.api.answer import ObjectAnswer
from apiserver_shim.api.metadata import metadata_of, timestamp
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.status import Cause, bad_request, conflict, invalid, not_found
from apiserver_shim.parts import Parts
from apiserver_shim.verbs.decoding import decode
from apiserver_shim.verbs.subresources.success import success
from apiserver_shim.verbs.writing import change_object


async def bind(parts: Parts, request: ApiRequest, target: Target) -> ObjectAnswer:
    """Sets spec.nodeName and the condition PodScheduled. Raises 409 for a bound pod."""
    resource = target.resource
    binding = decode(request)
    if binding.setdefault("kind", "Binding") != "Binding":
        raise bad_request(f"the kind in the data ({binding['kind']}) is not Binding")
    metadata = metadata_of(binding)
    if metadata.get("name", target.name) != target.name:
        raise bad_request(
            f"the name of the binding ({metadata['name']}) is not the pod's ({target.name})"
        )
    place = binding.get("target")
    node = place.get("name", "") if isinstance(place, dict) else ""
    if not isinstance(node, str) or not node:
        cause = Cause("FieldValueRequired", "Required value", "target.name")
        raise invalid(resource, target.name, [cause])
    uid = metadata.get("uid", "")

    async def change(pod: dict[str, Any]) -> dict[str, Any]:
        found = pod["metadata"]["uid"]
        if uid and uid != found:
            raise conflict(
                resource,
                target.name,
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: {found}",
            )
        if "deletionTimestamp" in pod["metadata"]:
            why = f"pod {target.name} is being deleted, cannot be assigned to a host"
            raise conflict(resource, f"{target.name}/binding", why)
        spec = pod.setdefault("spec", {})
        if spec.get("nodeName"):
            why = f'pod {target.name} is already assigned to node "{spec["nodeName"]}"'
            raise conflict(resource, f"{target.name}/binding", why)
        spec["nodeName"] = node
        for name in ("labels", "annotations"):
            if metadata.get(name):
                pod["metadata"][name] = {**pod["metadata"].get(name, {}), **metadata[name]}
        _say_scheduled(pod, timestamp(parts.now()))
        return pod

    try:
        await change_object(parts, request, target, change)
    except LookupError:
        raise not_found(resource, target.name) from None
    return success(201)


def _say_scheduled(pod: dict[str, Any], now: str) -> None:
    status = pod.setdefault("status", {})
    status.setdefault("phase", "Pending")
    others = [each for each in status.get("conditions", ()) if each["type"] != "PodScheduled"]
    scheduled = {
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": now,
    }
    status["conditions"] = [*others, scheduled]
