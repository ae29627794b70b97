"""CustomResourceDefinitions: their defaults and their rules.

Owns: what a definition must be by itself. Must never do: serve it; ``custom`` does. Only the
conversion None is known: versions differ in their name alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from apiserver_shim.api.status import Cause
from apiserver_shim.custom.structural import schema_violations
from apiserver_shim.kinds.causes import (
    at,
    forbidden,
    immutable,
    required,
    unsupported,
    wrong,
)
from apiserver_shim.kinds.places import fill

Object = dict[str, Any]
_LABEL = re.compile(r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_LABEL_WORDS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "
    "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)


def default_definition(obj: Object, old: Object | None) -> None:
    names = at(obj, "spec.names")
    if isinstance(names, dict) and isinstance(names.get("kind"), str):
        fill(names, {"singular": names["kind"].lower(), "listKind": f"{names['kind']}List"})
    if isinstance(obj.get("spec"), dict):
        fill(obj, {"spec.conversion": {"strategy": "None"}})


def definition_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    spec = new.get("spec") or {}
    names, group = spec.get("names") or {}, spec.get("group", "")
    wanted = f"{names.get('plural', '')}.{group}"
    if new["metadata"]["name"] != wanted:
        words = 'must be spec.names.plural+"."+spec.group'
        yield wrong("metadata.name", new["metadata"]["name"], words)
    if "." not in group:
        yield wrong("spec.group", group, "should be a domain with at least one dot")
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        yield unsupported("spec.scope", spec.get("scope", ""), ("Cluster", "Namespaced"))
    yield from _name_violations(names)
    if spec.get("preserveUnknownFields"):
        words = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec."
        yield wrong("spec.preserveUnknownFields", True, f"{words}versions[*].schema instead")
    strategy = at(spec, "conversion.strategy")
    if strategy not in (None, "None"):
        yield unsupported("spec.conversion.strategy", strategy, ("None",))
    yield from _version_violations(spec.get("versions") or [])
    if old is not None:
        for field in ("spec.group", "spec.scope", "spec.names.kind", "spec.names.plural"):
            yield from immutable(field, new, old)
        yield from _stored_violations(new, old)


def _name_violations(names: Object) -> Iterator[Cause]:
    told = [("plural", names.get("plural", "")), ("singular", names.get("singular", ""))]
    told += [(f"shortNames[{n}]", each) for n, each in enumerate(names.get("shortNames") or ())]
    told += [(f"categories[{n}]", each) for n, each in enumerate(names.get("categories") or ())]
    for field, value in told:
        if not _LABEL.match(value):
            yield wrong(f"spec.names.{field}", value, _LABEL_WORDS)
    for field in ("kind", "listKind"):
        value = names.get(field, "")
        if not value:
            yield required(f"spec.names.{field}")
        elif not _LABEL.match(value.lower()):
            words = f"may have mixed case, but should otherwise match: {_LABEL_WORDS}"
            yield wrong(f"spec.names.{field}", value, words)
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        yield wrong(
            "spec.names.listKind", names["listKind"], "kind and listKind may not be the same"
        )


def _version_violations(versions: list[Object]) -> Iterator[Cause]:
    called = [version.get("name", "") for version in versions]
    if len(set(called)) != len(called):
        yield wrong("spec.versions", called, "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        words = "must have exactly one version marked as storage version"
        yield wrong("spec.versions", called, words)
    for index, version in enumerate(versions):
        where = f"spec.versions[{index}]"
        if not _LABEL.match(version.get("name", "")):
            yield wrong(f"{where}.name", version.get("name", ""), _LABEL_WORDS)
        schema = at(version, "schema.openAPIV3Schema")
        if schema is None:
            words = "schemas are required"
            yield required(f"{where}.schema.openAPIV3Schema", words)
        else:
            yield from schema_violations(schema, f"{where}.schema.openAPIV3Schema")
        for number, column in enumerate(version.get("additionalPrinterColumns") or ()):
            place = f"{where}.additionalPrinterColumns[{number}]"
            kinds = ("integer", "number", "string", "boolean", "date")
            if column.get("type") not in kinds:
                yield unsupported(f"{place}.type", column.get("type", ""), kinds)
            if not str(column.get("jsonPath", "")).startswith("."):
                words = "must be a simple json path starting with ."
                yield wrong(f"{place}.jsonPath", column.get("jsonPath", ""), words)
        scale = at(version, "subresources.scale", {})
        for name, root in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
            if scale and not str(scale.get(name, "")).startswith(root):
                words = f"should be a json path under {root[:-1]}"
                yield wrong(f"{where}.subresources.scale.{name}", scale.get(name, ""), words)


def _stored_violations(new: Object, old: Object) -> Iterator[Cause]:
    """A version of which objects may be stored stays."""
    called = {version.get("name") for version in at(new, "spec.versions", ())}
    for index, name in enumerate(at(old, "status.storedVersions", ())):
        if name not in called:
            words = f"missing from spec.versions; {name} was previously a storage version"
            yield forbidden(f"status.storedVersions[{index}]", words)
