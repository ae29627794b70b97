"""managedFields: sets of fields, and who owns what after updates."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver_shim.patches.field_set import (
    NotKeyed,
    Shapes,
    decode,
    difference,
    encode,
    fields_of,
    words_of,
)
from apiserver_shim.patches.managed_fields import (
    ANCIENT,
    UPDATERS_MAX,
    manager_of,
    owners_of,
    track_update,
)
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.schemas.definitions import Definitions

DEFINITIONS = Definitions()
SHAPES = Shapes(DEFINITIONS)
DEPLOYMENTS = Catalogue().find("apps", "v1", "deployments")
assert DEPLOYMENTS is not None, "deployments are served"
SCHEMA = DEFINITIONS.of(DEPLOYMENTS)
assert SCHEMA is not None, "deployments have a schema"

ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"q"', "i:0"])
PATHS = st.lists(ELEMENTS, min_size=1, max_size=4).map(tuple)


def deployment(**spec: Any) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"replicas": 1, **spec},
    }


def tracked(old: dict[str, Any] | None, new: dict[str, Any], by: str, now: str) -> dict[str, Any]:
    assert DEPLOYMENTS is not None, "checked above"
    assert SCHEMA is not None, "checked above"
    track_update(
        old,
        new,
        SCHEMA,
        SHAPES,
        resource=DEPLOYMENTS,
        subresource="",
        manager=by,
        now=now,
    )
    return new


def owned_by(obj: dict[str, Any], manager: str) -> set[str]:
    return {
        words_of(path)
        for owner, entry in owners_of(obj).items()
        if owner.manager == manager
        for path in entry.fields
    }


@given(st.frozensets(PATHS, max_size=12))
def test_a_set_survives_its_json_form(fields: frozenset[tuple[str, ...]]) -> None:
    """encode and decode are each other's inverse."""
    assert decode(encode(fields)) == fields


def test_paths_are_told_as_kubectl_shows_them() -> None:
    """Names with dots, items by keys, values and places."""
    path = ("f:spec", 'k:{"containerPort":80,"protocol":"TCP"}', "f:x", 'v:"a"', "i:2")
    assert words_of(path) == '.spec[containerPort=80,protocol="TCP"].x[="a"][2]'


def test_items_of_keyed_lists_and_entries_of_maps_are_fields() -> None:
    """What a real apiserver notes for a container, its port and a label."""
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "a", "image": "b", "ports": [{"containerPort": 80}]}]},
    }
    found = fields_of({"spec": {"template": template}}, SCHEMA, SHAPES)
    assert encode(found)["f:spec"]["f:template"] == {
        "f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {
            "f:containers": {
                'k:{"name":"a"}': {
                    ".": {},
                    "f:image": {},
                    "f:name": {},
                    "f:ports": {
                        'k:{"containerPort":80,"protocol":"TCP"}': {
                            ".": {},
                            "f:containerPort": {},
                        }
                    },
                }
            }
        },
    }


def test_a_selector_and_a_list_without_keys_are_one_field_each() -> None:
    """Atomic maps and lists."""
    spec = {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"spec": {"containers": [{"name": "a", "args": ["x", "y"]}]}},
    }
    found = {words_of(path) for path in fields_of({"spec": spec}, SCHEMA, SHAPES)}
    assert ".spec.selector" in found
    assert '.spec.template.spec.containers[name="a"].args' in found
    assert not [path for path in found if "matchLabels" in path]


@pytest.mark.parametrize("names", [["a", "a"], ["a", None]])
def test_items_need_keys_of_their_own(names: list[str | None]) -> None:
    """Two of the same name, or one without."""
    containers = [{"name": name} if name else {"image": "x"} for name in names]
    with pytest.raises(NotKeyed):
        fields_of({"spec": {"template": {"spec": {"containers": containers}}}}, SCHEMA, SHAPES)


def test_an_update_takes_what_it_changes_from_the_others() -> None:
    """Who created keeps the rest."""
    first = tracked(None, deployment(paused=True), "maker", "t1")
    second = tracked(first, {**deployment(paused=True, replicas=5)}, "scaler", "t2")
    assert owned_by(second, "scaler") == {".spec.replicas"}
    assert ".spec.replicas" not in owned_by(second, "maker")
    assert ".spec.paused" in owned_by(second, "maker")


def test_what_is_gone_is_owned_by_nobody() -> None:
    """A removed field leaves its owner's entry, and an empty entry leaves the object."""
    first = tracked(None, deployment(), "maker", "t1")
    second = tracked(first, deployment(paused=True), "pauser", "t2")
    third = tracked(second, deployment(), "maker", "t3")
    assert not owned_by(third, "pauser")
    assert {each["manager"] for each in third["metadata"]["managedFields"]} == {"maker"}


def test_a_time_moves_only_with_its_fields() -> None:
    """An update that changes nothing leaves every entry as it was."""
    first = tracked(None, deployment(), "maker", "t1")
    again = tracked(first, deployment(), "other", "t2")
    assert again["metadata"]["managedFields"] == first["metadata"]["managedFields"]


def test_entries_can_be_given_up() -> None:
    """An empty entry in an update clears them all; only what changes then is owned."""
    first = tracked(None, deployment(), "maker", "t1")
    bare = deployment(replicas=3)
    bare["metadata"]["managedFields"] = [{}]
    assert owned_by(tracked(first, bare, "other", "t2"), "other") == {".spec.replicas"}
    assert not owned_by(bare, "maker")


def test_entries_that_cannot_be_read_do_not_stop_a_write() -> None:
    """They are replaced by what is known from now on."""
    broken = deployment()
    broken["metadata"]["managedFields"] = [{"operation": "Update", "fieldsV1": {"oops": {}}}]
    found = tracked(broken, deployment(replicas=2), "maker", "t1")
    assert owned_by(found, "maker") == {".spec.replicas"}


def test_the_oldest_of_many_updaters_become_one() -> None:
    """No more than ten updaters and one called ancient-changes."""
    obj = tracked(None, deployment(), "maker", "t00")
    for number in range(UPDATERS_MAX + 4):
        new = deployment(**obj["spec"])
        new["metadata"]["labels"] = {**obj["metadata"]["labels"], f"l{number}": "x"}
        obj = tracked(obj, new, f"by-{number}", f"t{number + 1:02}")
    managers = [each["manager"] for each in obj["metadata"]["managedFields"]]
    assert managers.count(ANCIENT) == 1
    assert len([each for each in managers if each != ANCIENT]) <= UPDATERS_MAX
    assert ".metadata.labels.l0" in owned_by(obj, ANCIENT)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2), max_size=4),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2), max_size=4),
)
def test_a_difference_is_what_sets_say(old: dict[str, int], new: dict[str, int]) -> None:
    """Against plain set arithmetic on the names of a map."""
    labels = {"properties": {"m": {"type": "object", "additionalProperties": {"type": "integer"}}}}
    found = difference({"m": {**old, "z": 0}}, {"m": {**new, "z": 0}}, labels, SHAPES)
    assert {path[-1][2:] for path in found.added} == new.keys() - old.keys()
    assert {path[-1][2:] for path in found.removed} == old.keys() - new.keys()
    both = old.keys() & new.keys()
    assert {path[-1][2:] for path in found.modified} == {k for k in both if old[k] != new[k]}


@pytest.mark.parametrize(
    ("query", "agent", "name"),
    [
        ("mine", "kubectl/v1.32", "mine"),
        ("", "kubectl/v1.32 (linux)", "kubectl"),
        ("", "", "unknown"),
    ],
)
def test_a_manager_is_named_by_the_request_or_its_program(
    query: str, agent: str, name: str
) -> None:
    """fieldManager first, then the user agent's first word."""
    assert manager_of(query, agent) == name
