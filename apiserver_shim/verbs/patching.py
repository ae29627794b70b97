"""patch: which kind of patch it is, and the update that it makes.

Owns: the four media types. Must never do: merge; ``patches`` do.
"""

from __future__ import annotations

from typing import Any

from apiserver_shim.api.answer import ObjectAnswer
from apiserver_shim.api.metadata import metadata_of, revision_of
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.status import (
    bad_request,
    conflict,
    not_found,
    too_large,
    unsupported_media_type,
)
from apiserver_shim.parts import Parts
from apiserver_shim.patches.merge import json_patch, merge_patch
from apiserver_shim.patches.strategic import strategic_merge
from apiserver_shim.verbs.applying import apply_patch
from apiserver_shim.verbs.decoding import (
    BODY_BYTES_MAX,
    check_kind,
    check_nesting,
    check_schema,
    parsed,
)
from apiserver_shim.verbs.write_options import PATCH, check_options
from apiserver_shim.verbs.writing import change_object

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


async def patch(parts: Parts, request: ApiRequest, target: Target) -> ObjectAnswer:
    """Raises 415 for other media types, and for a strategic patch of a custom kind."""
    resource = target.resource
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    offered = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH]
    if not resource.is_custom:
        offered.append(STRATEGIC_PATCH)
    if media_type not in offered:
        raise unsupported_media_type(", ".join(offered))
    if len(request.body) > BODY_BYTES_MAX:
        raise too_large(BODY_BYTES_MAX)
    check_options(request, PATCH, is_apply=media_type == APPLY_PATCH)
    if media_type == APPLY_PATCH:
        return await apply_patch(parts, request, target)
    wanted = parsed(request.body, "error decoding patch")
    warnings: list[str] = []

    async def change(old: dict[str, Any]) -> dict[str, Any]:
        new = _patched(parts, target, old, wanted, media_type)
        check_identity(target, new, old)
        check_kind(new, resource)
        warnings[:] = check_schema(parts, request, resource, new)
        if target.subresource == "status":
            return {**old, **({"status": new["status"]} if "status" in new else {})}
        return new

    try:
        stored = await change_object(parts, request, target, change)
    except LookupError:
        raise not_found(resource, target.name) from None
    return ObjectAnswer(200, stored, resource, warnings)


def _patched(
    parts: Parts, target: Target, old: dict[str, Any], wanted: Any, media_type: str
) -> dict[str, Any]:
    if media_type == JSON_PATCH:
        found = json_patch(old, wanted)
        check_nesting(found)  # each operation adds to the depth
        return found
    if not isinstance(wanted, dict):
        raise bad_request("a merge patch is an object")
    if media_type == MERGE_PATCH:
        merged: dict[str, Any] = merge_patch(old, wanted)
        return merged
    schema = parts.definitions.of(target.resource)
    assert schema is not None, f"{target.resource.qualified} has no schema"
    return strategic_merge(old, wanted, schema, parts.definitions)


def check_identity(target: Target, new: dict[str, Any], old: dict[str, Any]) -> None:
    """A patch that names a version is of that version; it cannot rename."""
    before, after = old["metadata"], metadata_of(new)
    if revision_of(new) != int(before["resourceVersion"]):
        raise conflict(
            target.resource,
            target.name,
            "the object has been modified; please apply your changes to the latest version and "
            "try again",
        )
    for name in ("name", "namespace"):
        if after.get(name) != before.get(name):
            raise bad_request(f"metadata.{name}: Invalid value: field is immutable")
