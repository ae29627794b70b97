"""create and update, and the loop that every change of a stored object goes through.

Owns: the order of a write: decode, own fields, schema, admission, Txn. Must never do: overwrite
what the client has not seen, if it said what it has seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from apiserver_shim.api.admission import Write
from apiserver_shim.api.answer import ObjectAnswer
from apiserver_shim.api.metadata import (
    begin,
    carry_over,
    differs_but_for_metadata,
    metadata_of,
    place,
    revision_of,
    timestamp,
)
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.status import (
    already_exists,
    bad_request,
    conflict,
    modified,
    not_found,
)
from apiserver_shim.api.stored import StoredObject, encoded
from apiserver_shim.kinds.defaulting import fill_in
from apiserver_shim.parts import Parts
from apiserver_shim.patches.field_set import Shapes
from apiserver_shim.patches.managed_fields import manager_of, track_update
from apiserver_shim.verbs.decoding import check_kind, check_schema, decode
from apiserver_shim.verbs.write_options import CREATE, UPDATE, check_options

UPDATE_TRIES_MAX = 20
"""Rounds of an update that does not say which version it has seen, against other writers."""

WRITES_STATUS = ("status", "binding")
"""Subresources through which the status may change."""

Change = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""The stored object, the change's own copy, to what it shall be."""


async def create(parts: Parts, request: ApiRequest, target: Target) -> ObjectAnswer:
    check_options(request, CREATE)
    obj = decode(request)
    return await create_object(parts, request, target, obj)


async def create_object(
    parts: Parts,
    request: ApiRequest,
    target: Target,
    obj: dict[str, Any],
    *,
    applied: bool = False,
) -> ObjectAnswer:
    """``obj`` is the caller's own and is filled in. ``applied``: its managedFields are right."""
    resource = target.resource
    check_kind(obj, resource)
    begin(obj, resource, target.namespace, parts.now(), parts.random)
    if "status" in resource.subresources:
        obj.pop("status", None)
    warnings = check_schema(parts, request, resource, obj)
    fill_in(resource, obj, None)
    dry_run = is_dry_run(request)
    await parts.admission.admit(Write(target, obj, None, request.user, dry_run))
    if not applied:
        _note_owner(parts, request, target, None, obj)
    name = obj["metadata"]["name"]
    if dry_run:
        key = resource.key(target.namespace, name)
        if await parts.registry.get(key) is not None:
            raise already_exists(resource, name)
        return ObjectAnswer(201, obj, resource, warnings)
    lease = await parts.event_leases.lease() if resource.kind == "Event" else 0
    value = encoded({**obj, "apiVersion": resource.stored_api_version})
    written = await parts.registry.create(resource.key(target.namespace, name), value, lease=lease)
    if not written.done or written.now is None:
        raise already_exists(resource, name)
    return ObjectAnswer(201, written.now, resource, warnings)


async def update(parts: Parts, request: ApiRequest, target: Target) -> ObjectAnswer:
    """PUT of an object, or of its status alone."""
    resource = target.resource
    check_options(request, UPDATE)
    obj = decode(request)
    check_kind(obj, resource)
    metadata = metadata_of(obj)
    place(metadata, resource, target.namespace)
    if metadata.setdefault("name", target.name) != target.name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL "
            f"({target.name})"
        )
    seen, uid = revision_of(obj), metadata.get("uid", "")
    warnings = check_schema(parts, request, resource, obj)

    async def change(old: dict[str, Any]) -> dict[str, Any]:
        if uid and uid != old["metadata"]["uid"]:
            raise conflict(
                resource,
                target.name,
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
                f"{old['metadata']['uid']}",
            )
        if target.subresource == "status":
            return {**old, "metadata": _status_metadata(metadata, old), **_status_of(obj)}
        return dict(obj, metadata=dict(metadata))

    try:
        stored = await change_object(parts, request, target, change, seen)
    except LookupError:
        if resource.create_on_update and not seen:
            return await create_object(parts, request, target, obj)
        raise not_found(resource, target.name) from None
    return ObjectAnswer(200, stored, resource, warnings)


async def change_object(
    parts: Parts,
    request: ApiRequest,
    target: Target,
    change: Change,
    seen: int = 0,
    *,
    applied: bool = False,
) -> StoredObject:
    """Apply ``change`` to what is stored, and again to what is stored then, for as long as others
    come between, unless ``seen`` names the one version to be changed. ``applied``: the change
    notes itself in managedFields. Raises LookupError when nothing is there."""
    resource = target.resource
    key = resource.key(target.namespace, target.name)
    current = await parts.registry.get(key)
    for _ in range(UPDATE_TRIES_MAX):
        if current is None:
            raise LookupError(key)
        if seen and current.revision != seen:
            raise modified(resource, target.name)
        new = await _changed(parts, request, target, change, current, applied=applied)
        value = encoded({**new, "apiVersion": resource.stored_api_version})
        if orjson.loads(value) == orjson.loads(encoded(current.object)):
            return current  # nothing changed, nothing is written
        if is_dry_run(request):
            return StoredObject(key, value, current.revision)
        if _is_finished(new):
            written = await parts.registry.delete(key, current.revision)
            if written.done:
                return StoredObject(key, value, written.revision)
        else:
            written = await parts.registry.write(key, value, current.revision)
            if written.done and written.now is not None:
                return written.now
        current = written.now
    raise modified(resource, target.name)


async def _changed(
    parts: Parts,
    request: ApiRequest,
    target: Target,
    change: Change,
    current: StoredObject,
    *,
    applied: bool,
) -> dict[str, Any]:
    """The object as it shall be stored: what the client may not change is as before."""
    as_asked = {"apiVersion": target.resource.api_version}
    old = current.copy() | as_asked
    new = await change(current.copy() | as_asked)
    carry_over(new, old)
    if target.subresource not in WRITES_STATUS and "status" in target.resource.subresources:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    fill_in(target.resource, new, old)
    await parts.admission.admit(Write(target, new, old, request.user, is_dry_run(request)))
    if "generation" in old["metadata"] and differs_but_for_metadata(new, old):
        new["metadata"]["generation"] = old["metadata"]["generation"] + 1
    if not applied:
        _note_owner(parts, request, target, old, new)
    return new


def _note_owner(
    parts: Parts,
    request: ApiRequest,
    target: Target,
    old: dict[str, Any] | None,
    new: dict[str, Any],
) -> None:
    """Who wrote this, in managedFields."""
    name = request.query.get("fieldManager", "")
    track_update(
        old,
        new,
        parts.definitions.of(target.resource) or {},
        Shapes(parts.definitions),
        resource=target.resource,
        subresource=target.subresource,
        manager=manager_of(name, request.headers.get("user-agent", "")),
        now=timestamp(parts.now()),
    )


def is_dry_run(request: ApiRequest) -> bool:
    asked = request.query.get("dryRun", "")
    if asked not in ("", "All"):
        raise bad_request(f'dryRun: Unsupported value: "{asked}": supported values: "All"')
    return bool(asked)


def _is_finished(new: dict[str, Any]) -> bool:
    """Deleted, and the last finalizer is gone: the update that says so removes it."""
    metadata = new["metadata"]
    return (
        "deletionTimestamp" in metadata
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
        and not new.get("spec", {}).get("finalizers")
    )


def _status_metadata(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """Through /status nothing of the metadata changes but who manages which field."""
    kept = dict(old["metadata"])
    if "managedFields" in new:
        kept["managedFields"] = new["managedFields"]
    return kept


def _status_of(obj: dict[str, Any]) -> dict[str, Any]:
    return {"status": obj["status"]} if "status" in obj else {}
