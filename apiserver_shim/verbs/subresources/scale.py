"""The scale subresource: how many replicas, without knowing the kind.

Owns: the Scale object (autoscaling/v1) of a Deployment, ReplicaSet, StatefulSet and
ReplicationController, and of custom kinds, whose definition says where the numbers are. Must never
do: change anything but the number of replicas.
"""

from __future__ import annotations

from typing import Any

import orjson

from apiserver_shim.api.answer import ObjectAnswer
from apiserver_shim.api.metadata import metadata_of, revision_of
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.status import (
    ApiError,
    Cause,
    bad_request,
    conflict,
    modified,
    not_found,
    unsupported_media_type,
)
from apiserver_shim.parts import Parts
from apiserver_shim.patches.merge import json_patch, merge_patch
from apiserver_shim.resources.resource import Resource
from apiserver_shim.verbs.decoding import decode
from apiserver_shim.verbs.patching import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from apiserver_shim.verbs.writing import change_object

Object = dict[str, Any]


async def get_scale(parts: Parts, request: ApiRequest, target: Target) -> ObjectAnswer:
    found = await parts.registry.get(target.resource.key(target.namespace, target.name))
    if found is None:
        raise not_found(target.resource, target.name)
    return ObjectAnswer(200, scale_of(found.object, target.resource))


async def update_scale(parts: Parts, request: ApiRequest, target: Target) -> ObjectAnswer:
    """PUT of a Scale; one that names a resourceVersion is of that version."""
    wanted = decode(request)
    metadata = metadata_of(wanted)
    if metadata.get("name", target.name) != target.name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL "
            f"({target.name})"
        )
    _check_kind(wanted)
    uid = metadata.get("uid", "")

    def scale(current: Object) -> Object:
        found = current["metadata"]["uid"]
        if uid and uid != found:
            raise conflict(
                target.resource,
                target.name,
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: {found}",
            )
        return wanted

    return await _change(parts, request, target, scale, revision_of(wanted))


async def patch_scale(parts: Parts, request: ApiRequest, target: Target) -> ObjectAnswer:
    """Of a Scale nothing is a list with keys: a strategic merge is a merge."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if media_type not in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH):
        raise unsupported_media_type(f"{JSON_PATCH}, {MERGE_PATCH}, {STRATEGIC_PATCH}")
    try:
        patch = orjson.loads(request.body)
    except orjson.JSONDecodeError as e:
        raise bad_request(f"error decoding patch: {e}") from None

    def scale(current: Object) -> Object:
        before = scale_of(current, target.resource)
        if media_type == JSON_PATCH:
            after = json_patch(before, patch)
        elif isinstance(patch, dict):
            after = merge_patch(before, patch)
        else:
            raise bad_request("a merge patch is an object")
        if revision_of(after) != int(current["metadata"]["resourceVersion"]):
            raise modified(target.resource, target.name)
        _check_kind(after)
        return after

    return await _change(parts, request, target, scale, 0)


async def _change(
    parts: Parts, request: ApiRequest, target: Target, scale: Any, seen: int
) -> ObjectAnswer:
    async def change(current: Object) -> Object:
        replicas = _replicas_of(scale(current), target.name)
        *way, last = paths_of(target.resource)[0]
        holder = current
        for name in way:
            holder = holder.setdefault(name, {})
        holder[last] = replicas
        return current

    try:
        stored = await change_object(parts, request, target, change, seen)
    except LookupError:
        raise not_found(target.resource, target.name) from None
    return ObjectAnswer(200, scale_of(stored.object, target.resource))


def paths_of(resource: Resource) -> tuple[list[str], list[str], list[str]]:
    """To the wanted replicas, the replicas there are, and the selector."""
    found = resource.scale_paths
    if not found[0]:
        found = (".spec.replicas", ".status.replicas", ".spec.selector")
    wanted, there, selector = (path.lstrip(".").split(".") for path in found)
    return wanted, there, selector


def scale_of(obj: Object, resource: Resource) -> Object:
    """The Scale that stands for ``obj``. A built-in kind wants one replica if it says nothing, a
    custom one none."""
    wanted, there, selector = paths_of(resource)
    metadata = obj["metadata"]
    copied = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    replicas = _at(obj, wanted)
    told = selector_text(_at(obj, selector))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in copied if name in metadata},
        "spec": {"replicas": int(not resource.is_custom) if replicas is None else replicas},
        "status": {"replicas": _at(obj, there) or 0, **({"selector": told} if told else {})},
    }


def _at(obj: Any, path: list[str]) -> Any:
    for name in path:
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj


def selector_text(selector: Any) -> str:
    """A selector as a query has it. A ReplicationController's is the labels themselves, a custom
    kind's is text already."""
    if isinstance(selector, str):
        return selector
    if not isinstance(selector, dict):
        return ""
    if not {"matchLabels", "matchExpressions"} & selector.keys():
        return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    terms = {key: f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()}
    for each in selector.get("matchExpressions", ()):
        key, values = each["key"], ",".join(sorted(each.get("values", ())))
        terms[key] = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }.get(each["operator"], key)
    return ",".join(text for _, text in sorted(terms.items()))


def _check_kind(scale: Object) -> None:
    if scale.get("kind", "Scale") != "Scale":
        raise bad_request(f"the kind in the data ({scale['kind']}) is not Scale")


def _replicas_of(scale: Object, name: str) -> int:
    spec = scale.get("spec")
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else 0
    if isinstance(replicas, int) and not isinstance(replicas, bool) and replicas >= 0:
        return replicas
    told = f"Invalid value: {replicas!r}: must be greater than or equal to 0"
    raise ApiError(
        422,
        "Invalid",
        f'Scale.autoscaling "{name}" is invalid: spec.replicas: {told}',
        name=name,
        group="autoscaling",
        kind="Scale",
        causes=(Cause("FieldValueInvalid", told, "spec.replicas"),),
    )
