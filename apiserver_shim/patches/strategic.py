"""Strategic merge patch: a merge that knows which lists are maps.

Owns: merging by the schema's patch strategies and keys, and the directives ($patch,
$deleteFromPrimitiveList, $setElementOrder, $retainKeys). Must never do: invent a key; a list
without a merge strategy is replaced. Source of the rules: Kubernetes' own document on strategic
merge patches.
"""

from __future__ import annotations

from typing import Any

from apiserver_shim.api.status import bad_request
from apiserver_shim.schemas.definitions import Definitions, Schema

_DIRECTIVE = "$patch"
_DELETE_VALUES = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"
_RETAIN = "$retainKeys"


def strategic_merge(
    target: dict[str, Any], patch: dict[str, Any], schema: Schema, definitions: Definitions
) -> dict[str, Any]:
    """Raises 400 for a directive that makes no sense."""
    found = _merge_objects(target, patch, schema, definitions)
    return {} if found is None else found


def _merge_objects(
    target: dict[str, Any], patch: dict[str, Any], schema: Schema, definitions: Definitions
) -> dict[str, Any] | None:
    """None: the patch deletes the object."""
    schema = definitions.resolved(schema)
    directive = patch.get(_DIRECTIVE)
    if directive == "delete":
        return None
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != _DIRECTIVE}
    if directive not in (None, "merge"):
        raise bad_request(f"Unknown patch type found: {directive}")
    found = dict(target)
    for name, value in patch.items():
        if name == _RETAIN or name.startswith((_ORDER, _DELETE_VALUES)):
            _check_list(name, value)
    if _RETAIN in patch:
        _check_retained(patch)
        found = {name: value for name, value in found.items() if name in patch[_RETAIN]}
    for name, value in patch.items():
        if name in (_DIRECTIVE, _RETAIN) or name.startswith(_ORDER):
            continue
        if name.startswith(_DELETE_VALUES):
            field = name[len(_DELETE_VALUES) :]
            if isinstance(found.get(field), list):
                found[field] = [each for each in found[field] if each not in value]
        elif value is None:
            found.pop(name, None)
        else:
            merged = _merge(found.get(name), value, _below(schema, name), definitions)
            if merged is None:
                found.pop(name, None)
            else:
                found[name] = merged
    for name, order in patch.items():
        field = name[len(_ORDER) :]
        if name.startswith(_ORDER) and isinstance(found.get(field), list):
            below = definitions.resolved(_below(schema, field))
            key = below.get("x-kubernetes-patch-merge-key")
            before = target.get(field) if isinstance(target.get(field), list) else []
            found[field] = _ordered(found[field], order, before or [], key)
    return found


def _check_list(name: str, value: Any) -> None:
    if not isinstance(value, list):
        raise bad_request(f"{name}: expected a list")


def _check_retained(patch: dict[str, Any]) -> None:
    """What a patch sets, it keeps."""
    for name in patch:
        if not name.startswith("$") and patch[name] is not None and name not in patch[_RETAIN]:
            raise bad_request(
                f"{_RETAIN} list doesn't contain all fields present in the patch: {name}"
            )


def _below(schema: Schema, name: str) -> Schema:
    properties = schema.get("properties", {})
    if name in properties:
        below: Schema = properties[name]
        return below
    values = schema.get("additionalProperties")
    return values if isinstance(values, dict) else {}


def _merge(target: Any, patch: Any, schema: Schema, definitions: Definitions) -> Any:
    schema = definitions.resolved(schema)
    strategies = str(schema.get("x-kubernetes-patch-strategy", "")).split(",")
    if isinstance(patch, dict):
        if "replace" in strategies and _DIRECTIVE not in patch:
            return patch
        return _merge_objects(
            target if isinstance(target, dict) else {}, patch, schema, definitions
        )
    if not isinstance(patch, list) or "merge" not in strategies:
        return patch
    key = schema.get("x-kubernetes-patch-merge-key")
    there = target if isinstance(target, list) else []
    if key is None:
        return [*there, *(each for each in patch if each not in there)]
    return _merge_lists(there, patch, key, schema.get("items", {}), definitions)


def _merge_lists(
    target: list[Any], patch: list[Any], key: str, items: Schema, definitions: Definitions
) -> list[Any]:
    if any(isinstance(each, dict) and each.get(_DIRECTIVE) == "replace" for each in patch):
        return [each for each in patch if not (isinstance(each, dict) and _DIRECTIVE in each)]
    found = list(target)
    for change in patch:
        if not isinstance(change, dict) or key not in change:
            raise bad_request(f"map: {change} does not contain declared merge key: {key}")
        places = [
            i
            for i, each in enumerate(found)
            if isinstance(each, dict) and each.get(key) == change[key]
        ]
        old = found[places[0]] if places else {}
        merged = _merge_objects(old, change, items, definitions)
        if merged is None:
            found = [each for i, each in enumerate(found) if i not in places]
        elif places:
            found[places[0]] = merged
        else:
            found.append(merged)
    return found


def _ordered(found: list[Any], order: list[Any], before: list[Any], key: str | None) -> list[Any]:
    """Those named come in the order named. The others keep their own order, and one of them goes
    before one that is named if it stood before it."""

    def identity(each: Any) -> Any:
        return each.get(key) if key and isinstance(each, dict) else each

    wanted = [identity(each) for each in order]
    stood = [identity(each) for each in before]
    named = [each for each in found if identity(each) in wanted]
    named.sort(key=lambda each: wanted.index(identity(each)))
    others = [each for each in found if identity(each) not in wanted]
    result = []
    while named and others:
        one, other = identity(named[0]), identity(others[0])
        first = one in stood and other in stood and stood.index(other) < stood.index(one)
        result.append((others if first else named).pop(0))
    return [*result, *named, *others]
