"""Structural schemas: what a custom kind's schema must be.

Owns: the rules. Must never do: look at objects of the kind. Rules: Kubernetes' own: every field
has a type outside of allOf, anyOf, oneOf and not, and those only narrow what is said outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apiserver_shim.api.status import Cause

Schema = dict[str, Any]
DEPTH_MAX = 64
_LOGIC = ("allOf", "anyOf", "oneOf")
_REFUSED = {
    "$ref": "$ref is not supported",
    "definitions": "definitions is not supported",
    "dependencies": "dependencies is not supported",
    "id": "id is not supported",
    "patternProperties": "patternProperties is not supported",
    "additionalItems": "additionalItems is not supported",
}
_INSIDE_LOGIC = (
    "type",
    "additionalProperties",
    "default",
    "title",
    "description",
    "nullable",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
)
TYPES = ("array", "boolean", "integer", "number", "object", "string")


def schema_violations(schema: Schema, path: str) -> Iterator[Cause]:
    """Of a whole openAPIV3Schema."""
    if schema.get("type") != "object":
        yield _wrong(f"{path}.type", schema.get("type", ""), "must be object at the root")
    yield from _violations(schema, path, 0, is_root=True)


def _violations(schema: Any, path: str, depth: int, *, is_root: bool = False) -> Iterator[Cause]:
    if depth > DEPTH_MAX:
        yield _forbidden(path, f"schemas may be nested {DEPTH_MAX} deep at most")
        return
    if not isinstance(schema, dict):
        yield _wrong(path, str(schema), "must be a schema")
        return
    yield from _refused(schema, path)
    kind, open_int = schema.get("type"), schema.get("x-kubernetes-int-or-string")
    anything = open_int or schema.get("x-kubernetes-preserve-unknown-fields")
    if not kind and not anything:
        words = "must not be empty for specified object fields"
        if path.endswith(".items"):
            words = "must not be empty for specified array items"
        yield Cause("FieldValueRequired", f"Required value: {words}", f"{path}.type")
    elif kind and kind not in TYPES:
        words = ", ".join(f'"{each}"' for each in TYPES)
        told = f'Unsupported value: "{kind}": supported values: {words}'
        yield Cause("FieldValueNotSupported", told, f"{path}.type")
    if open_int and kind:
        words = "must be empty if x-kubernetes-int-or-string is true"
        yield _wrong(f"{path}.type", kind, words)
    if schema.get("x-kubernetes-embedded-resource") and kind != "object":
        words = "must be object if x-kubernetes-embedded-resource is true"
        yield _wrong(f"{path}.type", kind or "", words)
    yield from _list_violations(schema, path)
    for name, each in (schema.get("properties") or {}).items():
        if is_root and name == "metadata":
            yield from _metadata_violations(each, f"{path}.properties[metadata]")
            continue
        yield from _violations(each, f"{path}.properties[{name}]", depth + 1)
    if kind == "array" and "items" not in schema:
        yield Cause("FieldValueRequired", "Required value: must be specified", f"{path}.items")
    if "items" in schema:
        yield from _violations(schema["items"], f"{path}.items", depth + 1)
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        yield from _violations(values, f"{path}.additionalProperties", depth + 1)
    for name in _LOGIC:
        for index, each in enumerate(schema.get(name) or ()):
            yield from _logic_violations(each, f"{path}.{name}[{index}]", schema, depth + 1)
    if "not" in schema:
        yield from _logic_violations(schema["not"], f"{path}.not", schema, depth + 1)


def _refused(schema: Schema, path: str) -> Iterator[Cause]:
    for name, words in _REFUSED.items():
        if schema.get(name):
            yield _forbidden(f"{path}.{name}", words)
    if schema.get("uniqueItems"):
        words = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield _forbidden(f"{path}.uniqueItems", words)
    if schema.get("additionalProperties") is False:
        words = "additionalProperties cannot be set to false"
        yield _forbidden(f"{path}.additionalProperties", words)
    if schema.get("properties") and "additionalProperties" in schema:
        words = "additionalProperties and properties are mutual exclusive"
        yield _forbidden(f"{path}.additionalProperties", words)
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        words = "must be true or undefined"
        yield _wrong(f"{path}.x-kubernetes-preserve-unknown-fields", False, words)


def _metadata_violations(schema: Any, path: str) -> Iterator[Cause]:
    """metadata may be restricted by name, and in nothing else."""
    allowed = {"type", "description", "properties"}
    if not isinstance(schema, dict) or set(schema) - allowed:
        yield _forbidden(path, "must not specify anything other than name and generateName")
        return
    if set(schema.get("properties") or {}) - {"name", "generateName"}:
        yield _forbidden(path, "must not specify anything other than name and generateName")


def _list_violations(schema: Schema, path: str) -> Iterator[Cause]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys")
    if kind is None and not keys:
        return
    if kind is not None and schema.get("type") != "array":
        yield _wrong(f"{path}.type", schema.get("type", ""), "must be array")
    if kind not in (None, "atomic", "set", "map"):
        words = '"atomic", "map", "set"'
        told = f'Unsupported value: "{kind}": supported values: {words}'
        yield Cause("FieldValueNotSupported", told, f"{path}.x-kubernetes-list-type")
    if kind == "map" and not keys:
        words = "Required value: must not be empty if x-kubernetes-list-type is map"
        yield Cause("FieldValueRequired", words, f"{path}.x-kubernetes-list-map-keys")
    if keys and kind != "map":
        words = "must be map if x-kubernetes-list-map-keys is non-empty"
        yield _wrong(f"{path}.x-kubernetes-list-type", kind or "", words)
    items = schema.get("items") or {}
    for key in keys or () if kind == "map" else ():
        if key not in (items.get("properties") or {}):
            words = "entries must all be names of item properties"
            yield _wrong(f"{path}.x-kubernetes-list-map-keys", key, words)
        elif key not in items.get("required", ()) and "default" not in items["properties"][key]:
            words = (
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be "
                "a required property"
            )
            where = f"{path}.items.properties[{key}].default"
            yield Cause("FieldValueRequired", f"Required value: {words}", where)


def _logic_violations(schema: Any, path: str, outside: Schema, depth: int) -> Iterator[Cause]:
    """Inside of allOf and its kin nothing is declared, only narrowed."""
    if depth > DEPTH_MAX or not isinstance(schema, dict):
        yield _forbidden(path, f"schemas may be nested {DEPTH_MAX} deep at most")
        return
    int_or_string = outside.get("x-kubernetes-int-or-string")
    for name in _INSIDE_LOGIC:
        if name == "type" and int_or_string and schema.get(name) in ("integer", "string"):
            continue
        if name in schema:
            yield _forbidden(f"{path}.{name}", "must be empty to be structural")
    known = outside.get("properties") or {}
    for name, each in (schema.get("properties") or {}).items():
        where = f"{path}.properties[{name}]"
        if name not in known and not isinstance(outside.get("additionalProperties"), dict):
            told = f"Required value: because it is defined in {where}"
            yield Cause("FieldValueRequired", told, f"{path.split('.')[0]}.properties[{name}]")
            continue
        below = known.get(name) or outside["additionalProperties"]
        yield from _logic_violations(each, where, below, depth + 1)
    if isinstance(schema.get("items"), dict):
        below = outside.get("items") or {}
        yield from _logic_violations(schema["items"], f"{path}.items", below, depth + 1)
    for name in _LOGIC:
        for index, each in enumerate(schema.get(name) or ()):
            yield from _logic_violations(each, f"{path}.{name}[{index}]", outside, depth + 1)
    if "not" in schema:
        yield from _logic_violations(schema["not"], f"{path}.not", outside, depth + 1)


def _wrong(path: str, value: Any, words: str) -> Cause:
    told = f'"{value}"' if isinstance(value, str) else str(value).lower()
    return Cause("FieldValueInvalid", f"Invalid value: {told}: {words}", path)


def _forbidden(path: str, words: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {words}", path)
