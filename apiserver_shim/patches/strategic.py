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
    if _RETAIN in patch:
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
            found[field] = _ordered(found[field], order, below.get("x-kubernetes-patch-merge-key"))
    return found


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
        return [each for each in patch if _DIRECTIVE not in each]
    found = list(target)
    for change in patch:
        if not isinstance(change, dict) or key not in change:
            raise bad_request(f"map: {change} does not contain declared merge key: {key}")
        places = [i for i, each in enumerate(found) if each.get(key) == change[key]]
        old = found[places[0]] if places else {}
        merged = _merge_objects(old, change, items, definitions)
        if merged is None:
            found = [each for i, each in enumerate(found) if i not in places]
        elif places:
            found[places[0]] = merged
        else:
            found.append(merged)
    return found


def _ordered(found: list[Any], order: list[Any], key: str | None) -> list[Any]:
    """Those named come in the order named; the others keep their place behind their neighbour."""
    wanted = [each[key] if key else each for each in order]
    named = [each for each in found if (each.get(key) if key else each) in wanted]
    named.sort(key=lambda each: wanted.index(each[key] if key else each))
    rank = {id(each): place for place, each in enumerate(named)}
    result, last = list(named), -1
    for each in found:
        if id(each) in rank:
            last = result.index(each)
        else:
            last += 1
            result.insert(last, each)
    return result
