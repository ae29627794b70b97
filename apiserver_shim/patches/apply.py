"""Server-side apply: an object as somebody wants it, merged into what is there.

Owns: the merge by the schema's list and map types, what an applier gives up, and conflicts. Must
never do: change what it is given. Rules: Kubernetes' structured-merge-diff: an applier owns exactly
what it applied last; a value that another owner set otherwise is a conflict; what it
no longer applies and nobody else owns is removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from apiserver_shim.api.status import ApiError, Cause
from apiserver_shim.patches.field_set import (
    Fields,
    NotKeyed,
    Path,
    Shapes,
    difference,
    fields_of,
    named_parents,
    words_of,
)
from apiserver_shim.patches.managed_fields import (
    APPLY,
    UPDATE,
    Entry,
    Owner,
    Owners,
    applier,
    capped,
    owned,
    owners_of,
    settle,
    store,
)
from apiserver_shim.resources.resource import Resource
from apiserver_shim.schemas.definitions import Schema

FIRST = "before-first-apply"
"""Owns what an object had before anybody's ownership was noted."""
KUBECTL = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Applied:
    """One apply request. ``config`` is what is wanted; ``now`` a timestamp."""

    config: dict[str, Any]
    manager: str
    force: bool
    subresource: str
    now: str


def apply(
    live: dict[str, Any] | None,
    request: Applied,
    resource: Resource,
    schema: Schema,
    shapes: Shapes,
) -> dict[str, Any]:
    """The new object, its managedFields noted. Raises 409 with one cause per field in conflict."""
    config = _bare(request.config)
    try:
        wanted = owned(fields_of(config, schema, shapes), resource, request.subresource)
    except NotKeyed as e:
        raise not_typed(request.config, str(e)) from None
    if request.subresource == "status":
        config = {name: config[name] for name in config if name in ("status", "metadata")}
    elif "status" in resource.subresources:
        config.pop("status", None)
    me = applier(request.manager, request.subresource)
    if live is None:
        found = {**config}
        store(found, {me: Entry(wanted, resource.api_version, request.now)} if wanted else {})
        return found
    base = _bare(live)
    owners = owners_of(live) or _of_before(base, resource, schema, shapes)
    last = owners.get(me)
    merged: dict[str, Any] = merge(base, config, schema, shapes)
    claims = {**owners, me: Entry(wanted, resource.api_version, request.now)}
    if last is not None:
        claimed = frozenset(path for entry in claims.values() for path in entry.fields)
        gone = last.fields - claimed - named_parents(claimed, schema, shapes)
        merged = without(merged, gone, schema, shapes, None if resource.is_custom else claimed)
    changes = difference(base, merged, schema, shapes, built_in=not resource.is_custom)
    changed = changes.added | changes.modified
    conflicts = {
        owner: entry.fields & changed
        for owner, entry in owners.items()
        if owner != me and entry.fields & changed
    }
    if conflicts and not request.force:
        own = _last_applied(base, request, resource, schema, shapes)
        conflicts = {o: left for o, fields in conflicts.items() if (left := fields - own)}
        if conflicts:
            raise conflict_error(conflicts)
    owners = settle(claims, changes, but=me)
    if last is not None and last.fields == wanted and last.api_version == resource.api_version:
        time = last.time if base == merged else request.now
    else:
        time = request.now
    if wanted:
        owners[me] = Entry(wanted, resource.api_version, time)
    store(merged, capped(owners))
    return merged


def _last_applied(
    live: dict[str, Any], request: Applied, resource: Resource, schema: Schema, shapes: Shapes
) -> Fields:
    """Fields over which kubectl has no conflict: it applied them from the client's side, as its
    annotation says, and nobody has changed them since."""
    text = live["metadata"].get("annotations", {}).get(LAST_APPLIED)
    if request.manager != KUBECTL or not isinstance(text, str):
        return frozenset()
    try:
        before = orjson.loads(text)
        if not isinstance(before, dict) or before.get("apiVersion") != resource.api_version:
            return frozenset()
        fields = fields_of(before, schema, shapes)
    except (orjson.JSONDecodeError, NotKeyed):
        return frozenset()
    since = difference(before, live, schema, shapes, built_in=not resource.is_custom)
    return fields - since.modified - since.added - since.removed


def not_typed(config: dict[str, Any], why: str) -> ApiError:
    """What the schema cannot read. A real apiserver answers 500 here, without a reason."""
    metadata = config.get("metadata") or {}
    version, kind = config.get("apiVersion", ""), config.get("kind", "")
    place = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {version}, Kind={kind}"
    return ApiError(500, "", f"failed to create typed patch object ({place}): {why}")


def _of_before(base: dict[str, Any], resource: Resource, schema: Schema, shapes: Shapes) -> Owners:
    try:
        fields = owned(fields_of(base, schema, shapes), resource, "")
    except NotKeyed:
        return {}
    owner = Owner(FIRST, UPDATE, "", resource.api_version)
    return {owner: Entry(fields, resource.api_version, "")} if fields else {}


def _bare(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in obj.get("metadata", {}).items() if k != "managedFields"}
    return {**obj, "metadata": metadata}


# --- the merge ----------------------------------------------------------------------------------


def merge(live: Any, config: Any, schema: Schema, shapes: Shapes) -> Any:
    """``config`` over ``live``: objects and keyed lists field by field, the rest replaced."""
    wanted = shapes.children(config, schema)
    try:
        there = shapes.children(live, schema)
    except NotKeyed:
        return config  # the stored list has no order of keys to merge by
    if wanted is None or there is None or isinstance(config, dict) != isinstance(live, dict):
        return config
    merged = {
        element: merge(there[element][0], value, below, shapes) if element in there else value
        for element, (value, below) in wanted.items()
    }
    if isinstance(config, dict):
        found = dict(live)
        found.update({element[2:]: value for element, value in merged.items()})
        return found
    return [
        merged[element] if element in merged else there[element][0]
        for element in _order(list(there), list(wanted))
    ]


def _order(there: list[str], wanted: list[str]) -> list[str]:
    """Those applied in the order applied; the others before whom they stood before."""
    applied, found = set(wanted), list[str]()
    seen: set[str] = set()
    left = iter(wanted)
    for element in there:
        if element not in applied:
            found.append(element)
            continue
        while element not in seen:
            following = next(left)
            seen.add(following)
            found.append(following)
    return [*found, *left]


def without(
    value: Any,
    gone: Iterable[Path],
    schema: Schema,
    shapes: Shapes,
    claimed: Fields | None,
    here: Path = (),
) -> Any:
    """``value`` without these fields. What is emptied by that goes too, if it is not ``claimed``;
    with None it stays."""
    paths = set(gone)
    children = shapes.children(value, schema)
    if not paths or children is None:
        return value
    kept: dict[str, Any] = {}
    for element, (each, below) in children.items():
        if (element,) in paths:
            continue
        deeper = {path[1:] for path in paths if path[0] == element and len(path) > 1}
        place = (*here, element)
        new = without(each, deeper, below, shapes, claimed, place) if deeper else each
        is_emptied = new is not each and not new and each
        if is_emptied and claimed is not None and place not in claimed:
            continue
        kept[element] = new
    if isinstance(value, dict):
        return {element[2:]: each for element, each in kept.items()}
    return list(kept.values())


# --- conflicts ----------------------------------------------------------------------------------


def conflict_error(conflicts: dict[Owner, Fields]) -> ApiError:
    """409 in the words that kubectl shows and explains."""
    found = [
        (_called(owner), words_of(path))
        for owner, fields in sorted(conflicts.items(), key=lambda each: _called(each[0]))
        for path in sorted(fields)
    ]
    causes = [Cause("FieldManagerConflict", f"conflict with {who}", field) for who, field in found]
    if len(found) == 1:
        text = f"Apply failed with 1 conflict: conflict with {found[0][0]}: {found[0][1]}"
    else:
        lines = []
        for who in dict.fromkeys(who for who, _ in found):
            lines.append(f"conflicts with {who}:")
            lines.extend(f"- {field}" for each, field in found if each == who)
        text = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", text, causes=causes)


def _called(owner: Owner) -> str:
    called = f'"{owner.manager}"'
    if owner.subresource:
        called += f' with subresource "{owner.subresource}"'
    return called if owner.operation == APPLY else f"{called} using {owner.api_version}"
