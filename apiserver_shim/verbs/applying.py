"""patch with application/apply-patch+yaml: server-side apply.

Owns: the request's checks, and the create or update that it comes to. Must never
do: merge; ``patches.apply`` does.
"""

from __future__ import annotations

from typing import Any

from apiserver_shim.api.answer import ObjectAnswer
from apiserver_shim.api.metadata import metadata_of, place, revision_of, timestamp
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.status import (
    ApiError,
    bad_request,
    conflict,
    modified,
    not_found,
)
from apiserver_shim.api.stored import StoredObject
from apiserver_shim.parts import Parts
from apiserver_shim.patches.apply import Applied, apply, not_typed
from apiserver_shim.patches.field_set import Shapes
from apiserver_shim.schemas.definitions import Schema
from apiserver_shim.schemas.validation import prune
from apiserver_shim.verbs.decoding import check_kind, check_schema, parsed
from apiserver_shim.verbs.writing import UPDATE_TRIES_MAX, change_object, create_object

Object = dict[str, Any]


async def apply_patch(parts: Parts, request: ApiRequest, target: Target) -> ObjectAnswer:
    """201 where it creates the object. Raises 409 for conflicts with other owners."""
    resource = target.resource
    config = _decoded(request, target)
    schema = parts.definitions.of(resource) or {}
    _check_known(parts, config, schema)
    wanted = Applied(
        config,
        request.query["fieldManager"],
        request.flag("force"),
        target.subresource,
        timestamp(parts.now()),
    )
    seen, uid = revision_of(config), metadata_of(config).get("uid", "")
    warnings: list[str] = []

    async def change(old: Object) -> Object:
        if uid and uid != old["metadata"]["uid"]:
            raise conflict(
                resource,
                target.name,
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
                f"{old['metadata']['uid']}",
            )
        new = _applied(parts, wanted, target, schema, old)
        warnings[:] = check_schema(parts, request, resource, new)
        return new

    for _ in range(UPDATE_TRIES_MAX):
        try:
            stored = await change_object(parts, request, target, change, seen, applied=True)
        except LookupError:
            if target.subresource or seen:
                raise not_found(resource, target.name) from None
        else:
            return _answer(resource, stored, warnings)
        if uid:
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object "
            raise conflict(resource, target.name, f"{why}was found")
        new = _applied(parts, wanted, target, schema, None)
        try:
            return await create_object(parts, request, target, new, applied=True)
        except ApiError as e:
            if e.reason != "AlreadyExists":
                raise
    raise modified(resource, target.name)


def _answer(resource: Any, stored: StoredObject, warnings: list[str]) -> ObjectAnswer:
    return ObjectAnswer(200, stored, resource, warnings)


def _applied(
    parts: Parts, wanted: Applied, target: Target, schema: Schema, old: Object | None
) -> Object:
    return apply(old, wanted, target.resource, schema, Shapes(parts.definitions))


def _decoded(request: ApiRequest, target: Target) -> Object:
    """What is wanted: an object that says its kind. Raises 400."""
    is_yaml = not request.body.lstrip().startswith(b"{")
    found = parsed(request.body, "error decoding YAML", is_yaml=is_yaml)
    if not isinstance(found, dict):
        raise bad_request("error decoding YAML: the configuration is no object")
    for name, word in (("kind", "Kind"), ("apiVersion", "apiVersion")):
        if not found.get(name):
            raise bad_request(f"Object '{word}' is missing in the configuration")
    check_kind(found, target.resource)
    metadata = metadata_of(found)
    if metadata.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    place(metadata, target.resource, target.namespace)
    if metadata.setdefault("name", target.name) != target.name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL "
            f"({target.name})"
        )
    return found


def _check_known(parts: Parts, config: Object, schema: Schema) -> None:
    """Every field must be one that the schema has: what nobody knows, nobody can own."""
    unknown = prune(config, schema, parts.definitions)
    if unknown:
        told = [f".{path}: field not declared in schema" for path in unknown]
        errors = told[0] if len(told) == 1 else "errors:\n  " + "\n  ".join(told)
        raise not_typed(config, errors)
