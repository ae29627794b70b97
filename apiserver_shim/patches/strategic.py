"""Strategic merge patch: a merge that knows which lists are maps.

Owns: merging by the schema's patch strategies and keys, and the directives ($patch,
$deleteFromPrimitiveList, $setElementOrder, $retainKeys). Must never do: invent a key; a list
without a merge strategy is replaced. Source of the rules: Kubernetes' own document on strategic
merge patches.
"""

from __future__ import annotations

from typing import Any

import orjson

from apiserver_shim.api.status import ApiError, bad_request
from apiserver_shim.schemas.definitions import Definitions, Schema

_DIRECTIVE = "$patch"
_DELETE_VALUES = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"
_RETAIN = "$retainKeys"


def strategic_merge(
    target: dict[str, Any], patch: dict[str, Any], schema: Schema, definitions: Definitions
) -> dict[str, Any]:
    """Raises 400 for a directive that makes no sense."""
    return _merge_objects(target, patch, schema, definitions)


def _merge_objects(
    target: dict[str, Any], patch: dict[str, Any], schema: Schema, definitions: Definitions
) -> dict[str, Any]:
    """An object that is deleted is empty; items of lists go."""
    schema = definitions.resolved(schema)
    directive = patch.get(_DIRECTIVE)
    if directive == "delete":
        return {}
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != _DIRECTIVE}
    if _DIRECTIVE in patch:
        raise _unknown(directive)
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
                gone = {_identity(each, None) for each in value}
                found[field] = [each for each in found[field] if _identity(each, None) not in gone]
        elif value is None:
            found.pop(name, None)
        else:
            found[name] = _merge(found.get(name), value, _below(schema, name), definitions)
    for name, order in patch.items():
        field = name[len(_ORDER) :]
        if name.startswith(_ORDER) and isinstance(found.get(field), list):
            below = definitions.resolved(_below(schema, field))
            key = below.get("x-kubernetes-patch-merge-key")
            _check_order(patch.get(field), order, key)
            found[field] = _ordered(found[field], order, target.get(field), key)
    return found


def _check_order(changes: Any, order: list[Any], key: str | None) -> None:
    """What a patch puts into a list, its order names, and in that order."""
    if not isinstance(changes, list) or not order:
        return
    named = iter([_identity(each, key) for each in order])
    for each in changes:
        if isinstance(each, dict) and _DIRECTIVE in each:
            continue
        if _identity(each, key) not in named:
            raise bad_request(
                f"The order in patch list:\n{changes}\n doesn't match {_ORDER[:-1]} list:\n"
                f"{order}\n"
            )


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
        merged = {_identity(each, None): each for each in [*there, *patch]}
        return _ordered(list(merged.values()), patch, there, None)
    return _merge_lists(there, patch, key, schema.get("items", {}), definitions)


def _merge_lists(
    target: list[Any], patch: list[Any], key: str, items: Schema, definitions: Definitions
) -> list[Any]:
    """What is deleted goes first, wherever in the patch it stands."""
    gone, changes, replaces = set[str](), list[dict[str, Any]](), False
    for change in patch:
        directive = change.get(_DIRECTIVE) if isinstance(change, dict) else None
        replaces = replaces or directive == "replace"
        if directive == "replace":
            continue
        if not isinstance(change, dict) or key not in change:
            raise bad_request(f"map: {change} does not contain declared merge key: {key}")
        if directive == "delete":
            gone.add(_identity(change, key))
        elif directive is None:
            changes.append(change)
        else:
            raise _unknown(directive)
    if replaces:
        return changes
    left = [each for each in target if _identity(each, key) not in gone]
    found = list(left)
    places = dict[str, int]()
    for index, each in enumerate(left):
        places.setdefault(_identity(each, key), index)
    for change in changes:
        index = places.setdefault(_identity(change, key), len(found))
        if index == len(found):
            found.append({})
        found[index] = _merge_objects(found[index], change, items, definitions)
    return _ordered(found, changes, left, key)


def _identity(each: Any, key: str | None) -> str:
    """Of an item among others: equal for two that are one."""
    named = each.get(key) if key and isinstance(each, dict) else each
    return orjson.dumps(named, option=orjson.OPT_SORT_KEYS).decode()


def _unknown(directive: Any) -> ApiError:
    return bad_request(f"Unknown patch type found: {directive}")


def _ordered(found: list[Any], order: list[Any], before: Any, key: str | None) -> list[Any]:
    """Those named come in the order named. The others keep their own order, and one of them goes
    before one that is named if it stood before it; before one that is new none goes."""
    wanted, stood = dict[str, int](), dict[str, int]()
    for places, items in ((wanted, order), (stood, before if isinstance(before, list) else [])):
        for index, each in enumerate(items):
            places.setdefault(_identity(each, key), index)
    known = [(_identity(each, key), each) for each in found]
    named = [each for each in known if each[0] in wanted]
    named.sort(key=lambda each: wanted[each[0]])
    others = [each for each in known if each[0] not in wanted]
    result, at = list[Any](), 0
    for name, item in named:
        while at < len(others) and stood.get(others[at][0], len(stood)) < stood.get(name, -1):
            result.append(others[at][1])
            at += 1
        result.append(item)
    return [*result, *(item for _, item in others[at:])]
