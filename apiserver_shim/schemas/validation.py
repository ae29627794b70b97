"""An object against its schema: what is unknown, of the wrong type, or missing.

Owns: the walk. Must never do: know rules that no schema states; those are ``kinds``'.
The server prunes what it does not know and says so, or refuses, as fieldValidation asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apiserver_shim.api.status import Cause
from apiserver_shim.schemas.constraints import CONSTRAINING, constraints
from apiserver_shim.schemas.definitions import Definitions, Schema

DEPTH_MAX = 100
_LOGIC = frozenset(("allOf", "anyOf", "oneOf", "not"))
_ENVELOPE = ("apiVersion", "kind", "metadata")
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}
_CALLED = {
    str: "string",
    int: "number",
    float: "number",
    bool: "bool",
    dict: "object",
    list: "array",
}


def prune(obj: dict[str, Any], schema: Schema, definitions: Definitions) -> list[str]:
    """Take out what the schema does not know, and nulls; the paths of what was unknown."""
    unknown: list[str] = []
    _prune(obj, schema, definitions, "", unknown, 0)
    return unknown


def _prune(
    node: Any, schema: Schema, definitions: Definitions, path: str, unknown: list[str], depth: int
) -> None:
    schema = definitions.resolved(schema)
    if depth > DEPTH_MAX:
        return
    if isinstance(node, list):
        items = schema.get("items")
        for index, each in enumerate(node):
            if items is not None:
                _prune(each, items, definitions, f"{path}[{index}]", unknown, depth + 1)
        return
    if not isinstance(node, dict):
        return
    properties, values = schema.get("properties"), schema.get("additionalProperties")
    open_ended = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    closed = schema.get("x-kubernetes-embedded-resource") and not open_ended
    if properties is None and not isinstance(values, dict) and (not closed or open_ended):
        return  # any object will do: FieldsV1, RawExtension
    embedded = bool(schema.get("x-kubernetes-embedded-resource"))
    for name in list(node):
        where = f"{path}.{name}" if path else name
        below = (properties or {}).get(name) or (values if isinstance(values, dict) else {})
        if node[name] is None:
            if not below.get("nullable") or "default" in below:
                del node[name]
        elif properties is not None and name in properties:
            _prune(node[name], properties[name], definitions, where, unknown, depth + 1)
        elif isinstance(values, dict):
            _prune(node[name], values, definitions, where, unknown, depth + 1)
        elif not values and not open_ended and not (name in _ENVELOPE and (embedded or not path)):
            unknown.append(where)
            del node[name]


def violations(obj: dict[str, Any], schema: Schema, definitions: Definitions) -> list[Cause]:
    """Everything in which ``obj`` differs from the schema, by field."""
    return list(_violations(obj, schema, definitions, "", 0))


def _violations(
    node: Any, schema: Schema, definitions: Definitions, path: str, depth: int
) -> Iterator[Cause]:
    schema = definitions.resolved(schema)
    if node is None and schema.get("nullable"):
        return
    if depth > DEPTH_MAX:
        yield Cause("FieldValueInvalid", f"may be nested {DEPTH_MAX} deep at most", path)
        return
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        if isinstance(node, bool) or not isinstance(node, int | str):
            yield _wrong_type(node, "integer,string", path)
            return
        yield from constraints(node, {k: v for k, v in schema.items() if k != "format"}, path)
        yield from _logic(node, schema, definitions, path, depth)
        return
    wanted = schema.get("type", "")
    kinds = _KINDS.get(wanted)
    if kinds is not None and not _is_a(node, wanted, kinds):
        yield _wrong_type(node, wanted, path)
        return
    if "enum" in schema and node not in schema["enum"]:
        words = ", ".join(f'"{each}"' for each in schema["enum"])
        told = f'Unsupported value: "{node}": supported values: {words}'
        yield Cause("FieldValueNotSupported", told, path)
    if not schema.keys().isdisjoint(CONSTRAINING):
        yield from constraints(node, schema, path)
    if not schema.keys().isdisjoint(_LOGIC):
        yield from _logic(node, schema, definitions, path, depth)
    if isinstance(node, dict):
        yield from _object_violations(node, schema, definitions, path, depth)
    elif isinstance(node, list) and "items" in schema:
        for index, each in enumerate(node):
            yield from _violations(
                each, schema["items"], definitions, f"{path}[{index}]", depth + 1
            )


def _logic(
    node: Any, schema: Schema, definitions: Definitions, path: str, depth: int
) -> Iterator[Cause]:
    """allOf, anyOf, oneOf and not: each narrows what is said beside it."""

    def fits(narrower: Schema) -> bool:
        return not list(_violations(node, narrower, definitions, path, depth + 1))

    for each in schema.get("allOf") or ():
        yield from _violations(node, each, definitions, path, depth + 1)
    any_of, one_of = schema.get("anyOf"), schema.get("oneOf")
    if any_of and not any(fits(each) for each in any_of):
        yield _unfit(path, "must validate at least one schema (anyOf)")
    if one_of and sum(fits(each) for each in one_of) != 1:
        yield _unfit(path, "must validate one and only one schema (oneOf)")
    if isinstance(schema.get("not"), dict) and fits(schema["not"]):
        yield _unfit(path, "must not validate the schema (not)")


def _unfit(path: str, words: str) -> Cause:
    return Cause("FieldValueInvalid", f'Invalid value: "": "{path}" {words}', path)


def _object_violations(
    node: dict[str, Any], schema: Schema, definitions: Definitions, path: str, depth: int
) -> Iterator[Cause]:
    properties = schema.get("properties", {})
    values = schema.get("additionalProperties")
    for name in schema.get("required", ()):
        if name not in node:
            yield Cause("FieldValueRequired", "Required value", f"{path}.{name}".lstrip("."))
    for name, value in node.items():
        where = f"{path}.{name}" if path else name
        if name in properties:
            yield from _violations(value, properties[name], definitions, where, depth + 1)
        elif isinstance(values, dict):
            yield from _violations(value, values, definitions, where, depth + 1)


def _is_a(node: Any, wanted: str, kinds: tuple[type, ...]) -> bool:
    if isinstance(node, bool):
        return wanted == "boolean"
    if wanted == "integer" and isinstance(node, float):
        return node.is_integer()
    return isinstance(node, kinds)


def _wrong_type(node: Any, wanted: str, path: str) -> Cause:
    found = _CALLED.get(type(node), type(node).__name__)
    place = f"{path} in body " if path else ""
    told = f'Invalid value: "{found}": {place}must be of type {wanted}: "{found}"'
    return Cause("FieldValueTypeInvalid", told, path)
