"""Strategic merge patches against small oracles that share no code with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver_shim.api.status import ApiError
from apiserver_shim.patches.strategic import strategic_merge
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.schemas.definitions import Definitions
from tests.shim.json_trees import SCALARS, code_of, told

Object = dict[str, Any]
Path = tuple[str, ...]

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
