"""JSON, merge and strategic merge patches against small oracles that share no code with them."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver_shim.api.status import ApiError
from apiserver_shim.patches.merge import json_patch, merge_patch
from apiserver_shim.patches.strategic import strategic_merge
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.schemas.definitions import Definitions
from tests.shim.served_shim import JSON_PATCH, ServedShim

Object = dict[str, Any]
Path = tuple[str, ...]

NAMES = st.sampled_from(["a", "b", "0", "-", "", "x/y", "m~n"])
SCALARS = st.sampled_from([None, True, False, 0, 1, 1.0, "", "a", "1"])


def trees(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(NAMES, below, max_size=3) | st.lists(below, max_size=3)


TREES = st.recursive(SCALARS, trees, max_leaves=8)
OBJECTS = st.dictionaries(NAMES, TREES, max_size=3)


def told(value: Any) -> str:
    """As JSON: true is not 1 there."""
    return json.dumps(value, sort_keys=True)


def code_of(call: Callable[[], Any]) -> int:
    """200, or that of the error; no other error is one."""
    try:
        call()
    except ApiError as e:
        return e.code
    return 200


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


# --- strategic merge ----------------------------------------------------------------------------

DEFINITIONS = Definitions()
PODS = Catalogue().find("", "v1", "pods")
assert PODS is not None, "pods are served"
SCHEMA = DEFINITIONS.of(PODS)
assert SCHEMA is not None, "pods have a schema"

KEYS = {
    "containers": "name",
    "env": "name",
    "ports": "containerPort",
    "volumes": "name",
    "finalizers": "",
}
"""Lists that are maps, by what names an item; "" is the item itself. All others are one value."""

IMAGES = st.sampled_from(["x", "y"])
LABELS = st.dictionaries(st.sampled_from("kl"), IMAGES, max_size=2)


def items(fields: Object, key: str, keys: Any) -> st.SearchStrategy[list[Object]]:
    each = st.fixed_dictionaries({key: st.sampled_from(keys)}, optional=fields)
    return st.lists(each, max_size=4, unique_by=lambda item: item[key])


PODS_DRAWN = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {},
            optional={
                "labels": LABELS,
                "finalizers": st.lists(st.sampled_from("pqrs"), max_size=4, unique=True),
            },
        ),
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "hostname": IMAGES,
                "nodeSelector": LABELS,
                "tolerations": st.lists(st.fixed_dictionaries({"key": IMAGES}), max_size=2),
                "containers": items(
                    {
                        "image": IMAGES,
                        "args": st.lists(IMAGES, max_size=2),
                        "env": items({"value": IMAGES}, "name", "uvw"),
                        "ports": items({"name": IMAGES}, "containerPort", [1, 2, 3]),
                    },
                    "name",
                    "abcd",
                ),
            },
        ),
    }
)
VOLUMES = items(
    {
        "emptyDir": st.fixed_dictionaries({}, optional={"medium": IMAGES}),
        "hostPath": st.fixed_dictionaries({"path": IMAGES}),
    },
    "name",
    "mno",
)


def merged(target: Object, patch: Object) -> Object:
    assert SCHEMA is not None, "checked above"
    return strategic_merge(target, patch, SCHEMA, DEFINITIONS)


def named(item: Any, key: str) -> Any:
    return item[key] if key else item


def between(old: Object, new: Object) -> Object:
    """A client's side: the patch that makes ``new`` of ``old``, as kubectl writes it."""
    patch: Object = dict.fromkeys(old.keys() - new.keys())
    for name, value in new.items():
        if name in old and old[name] == value:
            continue
        if name in old and isinstance(value, dict):
            patch[name] = between(old[name], value)
        elif name in old and name in KEYS:
            patch |= between_lists(name, old[name], value)
        else:
            patch[name] = value
    return patch


def between_lists(name: str, old: list[Any], new: list[Any]) -> Object:
    key = KEYS[name]
    before = {named(each, key): each for each in old}
    gone = before.keys() - {named(each, key) for each in new}
    if not key:
        patch: Object = {name: [each for each in new if each not in before]}
        patch[f"$deleteFromPrimitiveList/{name}"] = sorted(gone)
    else:
        changes = [
            {**between(before[each[key]], each), key: each[key]} if each[key] in before else each
            for each in new
            if before.get(each[key]) != each
        ]
        if name == "volumes":
            wholes = {each[key]: each for each in new}
            changes = [
                {name: each[name] for name in each if each[name] is not None}
                | ({"$retainKeys": list(wholes[each[key]])} if each[key] in before else {})
                for each in changes
            ]
        patch = {name: [*changes, *({key: each, "$patch": "delete"} for each in gone)]}
    patch[f"$setElementOrder/{name}"] = [{key: each[key]} if key else each for each in new]
    return patch


@settings(max_examples=150)
@given(PODS_DRAWN, PODS_DRAWN, VOLUMES, VOLUMES)
def test_a_strategic_patch_makes_what_it_was_made_for(
    old: Object, new: Object, volumes: list[Object], others: list[Object]
) -> None:
    """Any two pods, the order of all lists included; done twice it is done once."""
    old["spec"]["volumes"], new["spec"]["volumes"] = volumes, others
    patch = between(old, new)
    before = told([old, patch])
    assert merged(old, patch) == new
    assert told([old, patch]) == before
    assert merged(new, patch) == new


def places(value: Any, path: Path = (), name: str = "") -> Iterator[tuple[Path, Any]]:
    """Everything in an object by where it is; an item is where its key says."""
    yield path, None if isinstance(value, dict) or name in KEYS else value
    if isinstance(value, dict):
        for field, each in value.items():
            yield from places(each, (*path, field), field)
    elif name in KEYS:
        for each in value:
            yield from places(each, (*path, f"[{named(each, KEYS[name])}]"))


def within(found: dict[Path, Any], path: Path) -> dict[Path, Any]:
    return {each: value for each, value in found.items() if each[: len(path)] == path}


@settings(max_examples=100)
@given(PODS_DRAWN, PODS_DRAWN, PODS_DRAWN)
def test_a_strategic_patch_leaves_alone_what_it_does_not_name(
    old: Object, new: Object, live: Object
) -> None:
    """Made for one pod, done to another: what it changes is as it says, all else as it was."""
    was, becomes, there = (dict(places(each)) for each in (old, new, live))
    gone = was.keys() - becomes.keys()
    wanted = {
        path: value
        for path, value in there.items()
        if not any(path[:end] in gone for end in range(1, len(path) + 1))
    }
    for path, value in becomes.items():
        names_an_item = len(path) > 2 and KEYS.get(path[-3]) == path[-1]
        of = path[:-1] if names_an_item else path
        if within(was, of) != within(becomes, of):
            wanted[path] = value
    found = dict(places(merged(live, between(old, new))))
    assert {p: v for p, v in found.items() if v is not None} == {
        p: v for p, v in wanted.items() if v is not None
    }


@pytest.mark.parametrize(
    ("there", "patch", "wanted"),
    [
        ("ab", "c", "cab"),
        ("ab", "bc", "abc"),
        ("abc", "ca", "bca"),
        ("abcd", "db", "acdb"),
        ("", "ba", "ba"),
        ("a", "", "a"),
    ],
)
def test_what_a_patch_puts_into_a_list_comes_in_its_order(
    there: str, patch: str, wanted: str
) -> None:
    """As the server orders it: what is new comes before what it knows no order to."""
    old = {"spec": {"containers": [{"name": each} for each in there]}}
    found = merged(old, {"spec": {"containers": [{"name": each} for each in patch]}})
    assert "".join(each["name"] for each in found["spec"]["containers"]) == wanted
    plain = merged({"metadata": {"finalizers": [*there]}}, {"metadata": {"finalizers": [*patch]}})
    assert "".join(plain["metadata"]["finalizers"]) == wanted


@pytest.mark.parametrize(
    "patch",
    [
        [{"$patch": "merge", "name": "a"}],
        [{"$patch": "explode", "name": "a"}],
        [{"$patch": "delete"}],
        ["a"],
    ],
)
def test_a_list_of_changes_that_makes_no_sense_is_refused(patch: list[Any]) -> None:
    """400."""
    with pytest.raises(ApiError) as refused:
        merged({"spec": {"containers": [{"name": "a"}]}}, {"spec": {"containers": patch}})
    assert refused.value.code == 400


def test_an_order_names_what_the_patch_puts_there() -> None:
    """In that order."""
    for order in (["a"], ["b", "a"]):
        patch = {
            "containers": [{"name": "a"}, {"name": "b"}],
            "$setElementOrder/containers": [{"name": each} for each in order],
        }
        with pytest.raises(ApiError, match="doesn't match"):
            merged({"spec": {}}, {"spec": patch})


def test_what_is_deleted_goes_first() -> None:
    """Wherever in the list it says so."""
    patch = {"containers": [{"name": "a", "image": "y"}, {"name": "a", "$patch": "delete"}]}
    found = merged({"spec": {"containers": [{"name": "a", "args": ["x"]}]}}, {"spec": patch})
    assert found["spec"]["containers"] == [{"name": "a", "image": "y"}]


WORDS = st.sampled_from(
    [
        "metadata",
        "spec",
        "containers",
        "finalizers",
        "name",
        "$patch",
        "$retainKeys",
        "$setElementOrder/containers",
        "$setElementOrder/finalizers",
        "$deleteFromPrimitiveList/finalizers",
        "$deleteFromPrimitiveList/spec",
    ]
)
ANYTHING = st.recursive(
    SCALARS | st.sampled_from(["delete", "replace", "merge"]),
    lambda below: st.dictionaries(WORDS, below, max_size=3) | st.lists(below, max_size=2),
    max_leaves=8,
)


@settings(max_examples=300)
@given(
    st.dictionaries(WORDS, ANYTHING, max_size=3)
    | st.fixed_dictionaries({"spec": st.dictionaries(WORDS, ANYTHING, max_size=3)})
)
def test_any_strategic_patch_is_done_or_refused(patch: Object) -> None:
    """400: never another error."""
    old = {"metadata": {"finalizers": ["p"]}, "spec": {"containers": [{"name": "a"}]}}
    assert code_of(lambda: merged(old, patch)) in (200, 400)
