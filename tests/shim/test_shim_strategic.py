"""Strategic merge, merge and JSON patches: the rules, and small oracles."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver_shim.api.status import ApiError
from apiserver_shim.patches.merge import json_patch, merge_patch
from apiserver_shim.patches.strategic import strategic_merge
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.schemas.definitions import Definitions

DEFINITIONS = Definitions()
PODS = Catalogue().find("", "v1", "pods")
assert PODS is not None, "pods are served"
SCHEMA = DEFINITIONS.of(PODS)
assert SCHEMA is not None, "pods have a schema"

SCALARS = st.one_of(st.booleans(), st.integers(-3, 3), st.text("xy", max_size=2))
TREES = st.recursive(
    SCALARS | st.lists(st.integers(0, 2), max_size=2),
    lambda below: st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), TREES, max_size=3)


def merged(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    assert SCHEMA is not None, "checked above"
    return strategic_merge(target, patch, SCHEMA, DEFINITIONS)


def pod(*names: str, **fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": n, "image": n} for n in names], **fields}}


def names_of(obj: dict[str, Any]) -> list[str]:
    return [each["name"] for each in obj["spec"]["containers"]]


# --- merge patch --------------------------------------------------------------------------------


def between(old: Any, new: Any) -> Any:
    """The oracle: the merge patch that makes ``new`` of ``old``."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    gone = dict.fromkeys(old.keys() - new.keys())
    changed = {n: between(old.get(n), v) for n, v in new.items() if old.get(n) != v or n not in old}
    return {**gone, **changed}


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_makes_what_it_was_made_for(old: Any, new: Any) -> None:
    """Of any two objects, and what it is given stays as it was."""
    kept = deepcopy(old)
    assert merge_patch(old, between(old, new)) == new
    assert old == kept


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_is_done_once(old: Any, patch: Any) -> None:
    """A second time changes nothing."""
    once = merge_patch(old, patch)
    assert merge_patch(once, patch) == once


# --- strategic merge ----------------------------------------------------------------------------


def test_containers_merge_by_name() -> None:
    """One is changed, one is new, one is left alone."""
    patch = pod()
    patch["spec"]["containers"] = [{"name": "b", "image": "new"}, {"name": "c", "image": "c"}]
    found = merged(pod("a", "b"), patch)["spec"]["containers"]
    assert found == [
        {"name": "a", "image": "a"},
        {"name": "b", "image": "new"},
        {"name": "c", "image": "c"},
    ]


def test_a_list_without_a_key_is_replaced() -> None:
    """args and tolerations."""
    target = pod("a", tolerations=[{"key": "x"}])
    found = merged(target, {"spec": {"tolerations": [{"key": "y"}]}})
    assert found["spec"]["tolerations"] == [{"key": "y"}]


def test_directives_delete_and_replace() -> None:
    """$patch in an item, in a list and in an object."""
    gone = {"spec": {"containers": [{"$patch": "delete", "name": "a"}]}}
    assert names_of(merged(pod("a", "b"), gone)) == ["b"]
    only = {"spec": {"containers": [{"name": "z"}, {"$patch": "replace"}]}}
    assert names_of(merged(pod("a", "b"), only)) == ["z"]
    whole = {"spec": {"$patch": "replace", "hostname": "h"}}
    assert merged(pod("a"), whole) == {"spec": {"hostname": "h"}}
    assert merged(pod("a"), {"spec": {"$patch": "delete"}}) == {"spec": {}}


def test_plain_lists_add_and_take_away() -> None:
    """finalizers are a set: a patch adds, $deleteFromPrimitiveList takes."""
    target = {"metadata": {"finalizers": ["a", "b"]}}
    patch = {"metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}}
    assert merged(target, patch)["metadata"]["finalizers"] == ["c", "b"]


def test_retained_keys_drop_the_others() -> None:
    """A volume changes its kind."""
    target = {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}
    change = {"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}
    found = merged(target, {"spec": {"volumes": [change]}})
    assert found["spec"]["volumes"] == [{"name": "v", "hostPath": {"path": "/"}}]


@pytest.mark.parametrize(
    ("there", "order", "wanted"),
    [
        ("abc", "cba", "cba"),
        ("abc", "ca", "bca"),
        ("abcd", "db", "acdb"),
        ("ab", "ba", "ba"),
    ],
)
def test_items_come_in_the_order_asked_for(there: str, order: str, wanted: str) -> None:
    """$setElementOrder; items that it does not name stay before those they stood before."""
    patch = {"spec": {"$setElementOrder/containers": [{"name": name} for name in order]}}
    assert "".join(names_of(merged(pod(*there), patch))) == wanted


@given(st.permutations("abcde"), st.permutations("abcde"), st.sets(st.sampled_from("abcde")))
def test_an_order_keeps_all_items_and_both_orders(
    there: list[str], order: list[str], named: set[str]
) -> None:
    """Nothing is lost, those named are in the order named, the others in their own."""
    wanted = [each for each in order if each in named]
    patch = {"spec": {"$setElementOrder/containers": [{"name": name} for name in wanted]}}
    found = names_of(merged(pod(*there), patch))
    assert sorted(found) == sorted(there)
    assert [each for each in found if each in named] == wanted
    assert [each for each in found if each not in named] == [e for e in there if e not in named]


CHANGES = st.dictionaries(
    st.sampled_from("abcd"), st.one_of(st.none(), st.text("xyz", min_size=1, max_size=2))
)


@given(st.lists(st.sampled_from("abcd"), unique=True), CHANGES)
def test_keyed_lists_behave_like_dictionaries(there: list[str], changes: dict[str, Any]) -> None:
    """Against a dict: an image of None deletes, any other sets."""
    model = {name: name for name in there}
    items: list[dict[str, Any]] = []
    for name, image in changes.items():
        if image is None:
            model.pop(name, None)
            items.append({"name": name, "$patch": "delete"})
        else:
            model[name] = image
            items.append({"name": name, "image": image})
    found = merged(pod(*there), {"spec": {"containers": items}})["spec"]["containers"]
    assert {each["name"]: each["image"] for each in found} == model


@pytest.mark.parametrize(
    "patch",
    [
        {"$patch": "explode"},
        {"spec": {"containers": [{"image": "nameless"}]}},
        {"spec": {"$setElementOrder/containers": "no list"}},
        {"spec": {"$retainKeys": ["a"], "hostname": "h"}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": {}}},
    ],
)
def test_a_directive_that_makes_no_sense_is_a_bad_request(patch: dict[str, Any]) -> None:
    """400, whatever is wrong with it."""
    with pytest.raises(ApiError) as refused:
        merged(pod("a"), patch)
    assert refused.value.code == 400


# --- JSON patch ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ({}, 400),
        ([{"op": "remove", "path": "/nothing"}], 422),
        ([{"op": "test", "path": "/a", "value": 2}], 422),
        ([{"op": "frobnicate", "path": "/a"}], 422),
        ([{"path": "/a"}], 422),
        (["no operation"], 422),
        ([{"op": "replace", "path": "", "value": 1}], 422),
        ([{"op": "test", "path": "/a", "value": 1}] * 10_001, 413),
    ],
)
def test_a_json_patch_that_cannot_be_applied(operations: Any, code: int) -> None:
    """Each with its code."""
    with pytest.raises(ApiError) as refused:
        json_patch({"a": 1}, operations)
    assert refused.value.code == code


def test_copies_cannot_grow_without_bound() -> None:
    """Each copy doubles the object; 40 of them would fill any memory."""
    double = [{"op": "copy", "from": "/a", "path": f"/a/k{n}"} for n in range(40)]
    with pytest.raises(ApiError) as refused:
        json_patch({"a": {"x": "y" * 1000}}, double)
    assert refused.value.code == 413
