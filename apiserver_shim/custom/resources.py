"""A definition as resources: one per version that it serves.

Owns: how a definition's words become the catalogue's, and the condition of its names. Must never
do: serve or store anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from apiserver_shim.resources.resource import Column, Resource
from apiserver_shim.schemas.definitions import REF, Schema

Object = dict[str, Any]
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_META = REF + "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_VERSION = re.compile(r"^v(\d+)(?:(alpha|beta)(\d+))?$")


def resources_of(definition: Object) -> list[tuple[Resource, Schema]]:
    """The preferred version first."""
    spec = definition["spec"]
    names, found = spec["names"], []
    versions = [each for each in spec["versions"] if each.get("served")]
    stored = next(each["name"] for each in spec["versions"] if each.get("storage"))
    for version in sorted(versions, key=lambda each: rank(each["name"])):
        subresources = version.get("subresources") or {}
        scale = subresources.get("scale") or {}
        resource = Resource(
            spec["group"],
            version["name"],
            names["plural"],
            names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources=tuple(each for each in ("status", "scale") if each in subresources),
            columns=tuple(_column(c) for c in version.get("additionalPrinterColumns") or ()),
            field_selectors=tuple(
                each["jsonPath"].lstrip(".") for each in version.get("selectableFields") or ()
            ),
            is_custom=True,
            singular_name=names.get("singular", ""),
            list_name=names.get("listKind", ""),
            storage_version=stored if len(spec["versions"]) > 1 else "",
            scale_paths=(
                scale.get("specReplicasPath", ""),
                scale.get("statusReplicasPath", ""),
                scale.get("labelSelectorPath", ""),
            ),
        )
        found.append((resource, full_schema(version["schema"]["openAPIV3Schema"])))
    return found


def rank(version: str) -> tuple[int, int, int, str]:
    """v2 before v1 before v1beta1 before v1alpha1, and those before any other name."""
    found = _VERSION.match(version)
    if found is None:
        return 3, 0, 0, version
    stage = {None: 0, "beta": 1, "alpha": 2}[found[2]]
    return stage, -int(found[1]), -int(found[3] or 0), version


def full_schema(schema: Schema) -> Schema:
    """With what every object has."""
    envelope = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"$ref": _META},
    }
    return {**schema, "properties": {**(schema.get("properties") or {}), **envelope}}


def _column(column: Object) -> Column:
    return Column(
        column["name"],
        column["jsonPath"],
        column["type"],
        column.get("priority", 0),
        column.get("description", ""),
    )


def name_conflict(definition: Object, others: Iterable[Resource]) -> tuple[str, str]:
    """Reason and message, if another resource of the group has one of the names: of several, the
    last."""
    found = "", ""
    spec = definition["spec"]
    names, plurals, kinds, shorts = spec["names"], set[str](), set[str](), set[str]()
    for other in others:
        if other.group == spec["group"]:
            plurals |= {other.plural, other.singular}
            shorts |= set(other.short_names)
            kinds |= {other.kind, other.list_kind}
    taken = plurals | shorts
    for reason, words, known in (
        ("PluralConflict", [names["plural"]], taken),
        ("SingularConflict", [names.get("singular", "")], taken),
        ("ShortNamesConflict", names.get("shortNames") or (), taken),
        ("KindConflict", [names["kind"]], kinds),
        ("ListKindConflict", [names.get("listKind", "")], kinds),
    ):
        for word in words:
            if word and word in known:
                found = reason, f'"{word}" is already in use'
    return found


def status_of(definition: Object, conflict: tuple[str, str], now: str) -> Object:
    """Its status, with times moved only where a condition turns."""
    reason, message = conflict
    accepted = not reason
    told = [
        ("NamesAccepted", accepted, reason or "NoConflicts", message or "no conflicts found"),
        (
            "Established",
            accepted,
            "InitialNamesAccepted" if accepted else "NotAccepted",
            "the initial names have been accepted" if accepted else "not all names are accepted",
        ),
    ]
    before = definition.get("status") or {}
    old = {each["type"]: each for each in before.get("conditions") or ()}
    conditions = []
    for kind, holds, why, words in told:
        state = str(holds)
        was = old.get(kind, {})
        since = was.get("lastTransitionTime") if was.get("status") == state else None
        conditions.append(
            {
                "lastTransitionTime": since or now,
                "message": words,
                "reason": why,
                "status": state,
                "type": kind,
            }
        )
    conditions += [each for kind, each in old.items() if kind == "Terminating"]
    stored = list(before.get("storedVersions") or ())
    for version in definition["spec"]["versions"]:
        if version.get("storage") and version["name"] not in stored:
            stored.append(version["name"])
    names = definition["spec"]["names"] if accepted else before.get("acceptedNames", {})
    return {
        "conditions": conditions,
        "acceptedNames": names or {"plural": "", "kind": ""},
        "storedVersions": stored,
    }
