"""metadata.managedFields: who set which field, kept for every write.

Owns: the entries, and how an update changes them. Must never do: refuse anything; conflicts are
``apply``'s. As a real apiserver: an entry's time moves only when its fields do; more than ten
updaters are summed up in one called ancient-changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from apiserver_shim.patches.field_set import (
    Difference,
    Fields,
    Shapes,
    decode,
    difference,
    encode,
)
from apiserver_shim.resources.resource import Resource
from apiserver_shim.schemas.definitions import Schema

MANAGER_BYTES_MAX = 128
UPDATERS_MAX = 10
ANCIENT = "ancient-changes"
APPLY, UPDATE = "Apply", "Update"
_NEVER_OWNED: Fields = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "clusterName",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    }
)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who, and how. An applier is the same whatever version of the kind it applies."""

    manager: str
    operation: str
    subresource: str = ""
    api_version: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """``tree``: the fields as they came from the store, so that what nobody changes is not made
    anew."""

    fields: Fields
    api_version: str
    time: str
    tree: dict[str, Any] | None = field(default=None, compare=False)


Owners = dict[Owner, Entry]


def manager_of(query_name: str, user_agent: str) -> str:
    """Who writes: as the request says, or the program's name."""
    return query_name or user_agent.partition("/")[0][:MANAGER_BYTES_MAX] or "unknown"


def applier(manager: str, subresource: str) -> Owner:
    return Owner(manager, APPLY, subresource)


def owners_of(obj: dict[str, Any]) -> Owners:
    """From an object. Entries that cannot be read count as none, all of them: a real apiserver
    does not let one bad entry stop writes."""
    found: Owners = {}
    entries = obj.get("metadata", {}).get("managedFields")
    try:
        for each in entries or ():
            operation = each["operation"]
            version = each.get("apiVersion", "")
            if operation not in (APPLY, UPDATE):
                raise ValueError(f"operation {operation!r}")
            owner = Owner(
                each.get("manager", ""),
                operation,
                each.get("subresource", ""),
                "" if operation == APPLY else version,
            )
            tree = each.get("fieldsV1", {})
            fields, before = decode(tree), found.get(owner)
            if before is not None:
                fields, tree = fields | before.fields, None
            found[owner] = Entry(fields, version, each.get("time", ""), tree)
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return found


def entries_of(owners: Owners) -> list[dict[str, Any]]:
    """For an object: appliers first, each by time."""
    order = sorted(
        owners.items(), key=lambda each: (each[0].operation, each[1].time, each[0].manager)
    )
    found = []
    for owner, entry in order:
        told: dict[str, Any] = {
            "manager": owner.manager,
            "operation": owner.operation,
            "apiVersion": entry.api_version,
            "time": entry.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": encode(entry.fields) if entry.tree is None else entry.tree,
        }
        if not entry.time:
            del told["time"]
        if owner.subresource:
            told["subresource"] = owner.subresource
        found.append(told)
    return found


def store(obj: dict[str, Any], owners: Owners) -> None:
    """Put the entries where they belong: last, for they are what nobody reads."""
    metadata = obj["metadata"]
    metadata.pop("managedFields", None)
    if owners:
        metadata["managedFields"] = entries_of(owners)


def owned(fields: Fields, resource: Resource, subresource: str) -> Fields:
    """Without what is the server's, and what this way of writing cannot change."""
    found = fields - _NEVER_OWNED
    if subresource == "status":
        return frozenset(path for path in found if path[0] in ("f:status", "f:metadata"))
    if not subresource and "status" in resource.subresources:
        return frozenset(path for path in found if path[0] != "f:status")
    return found


def settle(owners: Owners, changes: Difference, *, but: Owner | None = None) -> Owners:
    """The others lose what is changed, and everybody what is gone."""
    changed = changes.added | changes.modified | changes.removed
    found: Owners = {}
    for owner, entry in owners.items():
        left = entry.fields - (changes.removed if owner == but else changed)
        if left:
            found[owner] = (
                entry if left == entry.fields else Entry(left, entry.api_version, entry.time)
            )
    return found


def track_update(
    old: dict[str, Any] | None,
    new: dict[str, Any],
    schema: Schema,
    shapes: Shapes,
    *,
    resource: Resource,
    subresource: str,
    manager: str,
    now: str,
) -> None:
    """Note in ``new`` that ``manager`` made it of ``old``. Entries that ``new`` brings with it
    replace those of ``old``: a client may give fields up."""
    brought = new["metadata"].get("managedFields")
    owners = {} if _asks_for_none(brought) else owners_of(new)
    if not owners and not _asks_for_none(brought) and old is not None:
        owners = owners_of(old)
    changes = difference(
        _bare(old) if old is not None else {},
        _bare(new),
        schema,
        shapes,
        built_in=not resource.is_custom,
    )
    me = Owner(manager, UPDATE, subresource, resource.api_version)
    mine = owned(frozenset(changes.added | changes.modified), resource, subresource)
    owners = settle(owners, changes)
    if mine:
        kept = owners.get(me)
        fields = mine | (kept.fields if kept else frozenset())
        owners[me] = Entry(fields, resource.api_version, now)
    store(new, capped(owners))


def _asks_for_none(entries: Any) -> bool:
    """An empty list, or one empty entry, takes all entries away."""
    return entries is not None and (entries == [] or entries == [{}])


def _bare(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in obj["metadata"].items() if k not in ("managedFields",)}
    return {**obj, "metadata": metadata}


def capped(owners: Owners) -> Owners:
    """The oldest updaters of each version become one."""
    updaters = [o for o in owners if o.operation == UPDATE and o.manager != ANCIENT]
    excess = len(updaters) - UPDATERS_MAX
    if excess <= 0:
        return owners
    updaters.sort(key=lambda owner: owners[owner].time)
    found = dict(owners)
    for owner in updaters[: excess + 1]:
        entry = found.pop(owner)
        bucket = Owner(ANCIENT, UPDATE, owner.subresource, owner.api_version)
        old = found.get(bucket)
        fields = entry.fields | (old.fields if old else frozenset())
        time = max(entry.time, old.time) if old else entry.time
        found[bucket] = Entry(fields, entry.api_version, time)
    return found
