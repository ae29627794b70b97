"""JSON and merge patches against small oracles that share no code with them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver_shim.api.status import ApiError
from apiserver_shim.patches.merge import json_patch, merge_patch
from tests.shim.json_trees import OBJECTS, SCALARS, TREES, code_of, told
from tests.shim.served_shim import JSON_PATCH, ServedShim

Object = dict[str, Any]
Path = tuple[str, ...]

# --- JSON patch: RFC 6902 -----------------------------------------------------------------------


class Refused(Exception):
    """There is no such patch, or it does not fit."""


def path_of(pointer: str) -> list[str]:
    if pointer and pointer[0] != "/":
        raise Refused(pointer)
    if re.search("~(?![01])", pointer):
        raise Refused(pointer)
    return [each.replace("~1", "/").replace("~0", "~") for each in pointer.split("/")[1:]]


def entries(value: Any) -> dict[str, Any]:
    """What a container holds, by the words of a pointer; a list's places are words too."""
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list):
        return {str(place): each for place, each in enumerate(value)}
    raise Refused("no container")


def found_at(value: Any, path: list[str]) -> Any:
    for each in path:
        inside = entries(value)
        if each not in inside:
            raise Refused(each)
        value = inside[each]
    return value


def changed(value: Any, path: list[str], new: list[Any], *, replaces: bool) -> Any:
    """With ``new``, one value or none, put in at a place, or instead of what is there."""
    inside, first = entries(value), path[0]
    if len(path) > 1:
        found_at(value, path[:1])
        inside[first] = changed(inside[first], path[1:], new, replaces=replaces)
        return inside if isinstance(value, dict) else list(inside.values())
    if replaces:
        found_at(value, path)
    if isinstance(value, dict):
        inside.pop(first, None)
        return inside | dict(zip([first], new, strict=False))
    if first == "-":
        first = str(len(value))
    places = [str(place) for place in range(len(value) + (not replaces))]
    if first not in places:
        raise Refused(first)
    at = places.index(first)
    return [*value[:at], *new, *value[at + replaces :]]


def same(one: Any, other: Any) -> bool:
    """Equal in JSON, where 1 and 1.0 are one number and no booleans."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[each], other[each]) for each in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def done(doc: Any, operation: Object) -> Any:
    """The oracle: one operation."""
    kind, path = operation["op"], path_of(operation["path"])
    if kind == "test":
        if not same(found_at(doc, path), operation["value"]):
            raise Refused("differs")
        return doc
    if kind in ("copy", "move"):
        start = path_of(operation["from"])
        value = found_at(doc, start)
        if kind == "move":
            if path == start:
                return doc
            if path[: len(start)] == start:
                raise Refused("into itself")
            doc = changed(doc, start, [], replaces=True)
        kind = "add"
    else:
        value = operation.get("value")
    new = [] if kind == "remove" else [value]
    if path:
        return changed(doc, path, new, replaces=kind != "add")
    if not new:
        raise Refused("everything")
    return value


def pointers(value: Any, start: str = "") -> Iterator[str]:
    yield start
    if isinstance(value, dict | list):
        for name, each in entries(value).items():
            yield from pointers(each, f"{start}/{name.replace('~', '~0').replace('/', '~1')}")


@st.composite
def json_patches(draw: st.DrawFn) -> tuple[Object, list[Object]]:
    """An object, and operations on what is there, or nearly there."""
    doc, operations = draw(OBJECTS), []
    now: Any = doc
    values = TREES | st.sampled_from([doc, *doc.values()])
    for _ in range(draw(st.integers(1, 4))):
        there = st.sampled_from(sorted(pointers(now)))
        ends = st.sampled_from(["/a", "/0", "/1", "/-", "/2", "/01", "/x~1y", "/m~n", "/", "a"])
        somewhere = there | st.tuples(there, ends).map("".join)
        kind = draw(st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]))
        operation = {"op": kind, "path": draw(somewhere)}
        if kind in ("move", "copy"):
            operation["from"] = draw(somewhere)
        elif kind == "test" and operation["path"] in set(pointers(now)):
            operation["value"] = draw(st.just(found_at(now, path_of(operation["path"]))) | values)
        elif kind != "remove":
            operation["value"] = draw(values)
        operations.append(operation)
        with contextlib.suppress(Refused):
            now = done(now, operation)
    return doc, operations


@settings(max_examples=300)
@given(json_patches())
def test_a_json_patch_does_what_the_rfc_says(drawn: tuple[Object, list[Object]]) -> None:
    """All of it, or nothing and a 422; neither the object nor the patch is touched."""
    doc, operations = drawn
    before = told([doc, operations])
    wanted: Any = doc
    try:
        for each in operations:
            wanted = done(wanted, each)
        if not isinstance(wanted, dict):
            raise Refused("no object is left")
    except Refused:
        with pytest.raises(ApiError) as refused:
            json_patch(doc, operations)
        assert refused.value.code == 422
    else:
        assert told(json_patch(doc, operations)) == told(wanted)
    assert told([doc, operations]) == before


OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]) | SCALARS},
    optional={
        "path": st.sampled_from(["/a", "/a/0", "", "/~", "a", "/a/" + "9" * 40]) | SCALARS,
        "from": st.sampled_from(["/a", "/a/0", "/a/-", "", "a"]) | SCALARS,
        "value": TREES,
    },
)


@settings(max_examples=300)
@given(OBJECTS, TREES | st.lists(OPERATIONS, min_size=1, max_size=1))
def test_what_is_no_json_patch_is_refused(doc: Object, patch: Any) -> None:
    """An object, or 400 or 422: never another error."""
    wanted = (200, 422) if isinstance(patch, list) else (400,)
    assert code_of(lambda: json_patch(doc, patch)) in wanted


@pytest.mark.e2e
def test_operations_do_not_nest_without_end(served_shim: ServedShim, namespace: str) -> None:
    """A hundred levels each, put at the end of those before."""
    served_shim.create(f"{namespace}/configmaps", {"metadata": {"name": "c"}})
    nested: Any = {}
    for _ in range(100):
        nested = {"a": nested}
    operations: list[Object] = [{"op": "add", "path": "/data", "value": nested}]
    for times in range(1, 12):
        end = "/data" + "/a" * (100 * times)
        operations.append({"op": "add", "path": end, "value": nested})
    reply = served_shim.ask(
        "PATCH", f"{namespace}/configmaps/c", operations, content_type=JSON_PATCH
    )
    assert (reply.code, reply.message) == (400, "the body is nested deeper than 200")


# --- merge patch: RFC 7386 ----------------------------------------------------------------------


def leaves(patch: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """What a patch says of single places, each object before what is in it."""
    if not isinstance(patch, dict):
        yield path, patch
        return
    yield path, {}
    for name, each in patch.items():
        yield from leaves(each, (*path, name))


def put(doc: Object, path: Path, value: Any) -> None:
    """The oracle: one of them."""
    for each in path[:-1]:
        doc = doc[each]
    if value is None:
        doc.pop(path[-1], None)
    elif value != {} or not isinstance(doc.get(path[-1]), dict):
        doc[path[-1]] = deepcopy(value)


@settings(max_examples=200)
@given(OBJECTS, OBJECTS)
def test_a_merge_patch_says_what_is_at_each_place(doc: Object, patch: Object) -> None:
    """null takes away, at any depth, and in lists it is a value."""
    before = told([doc, patch])
    wanted = deepcopy(doc)
    for path, value in leaves(patch):
        if path:
            put(wanted, path, value)
    assert told(merge_patch(doc, patch)) == told(wanted)
    assert told([doc, patch]) == before
