"""Server-side apply: merge, ownership, conflicts; and against a small oracle."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver_shim.api.status import ApiError
from apiserver_shim.patches.apply import LAST_APPLIED, Applied, apply, merge
from apiserver_shim.patches.field_set import Shapes, words_of
from apiserver_shim.patches.managed_fields import owners_of, track_update
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.schemas.definitions import Definitions

DEFINITIONS = Definitions()
SHAPES = Shapes(DEFINITIONS)
DEPLOYMENTS = Catalogue().find("apps", "v1", "deployments")
assert DEPLOYMENTS is not None, "deployments are served"
SCHEMA = DEFINITIONS.of(DEPLOYMENTS)
assert SCHEMA is not None, "deployments have a schema"

Object = dict[str, Any]


def wanted(labels: Object | None = None, images: Object | None = None, **spec: Any) -> Object:
    """A Deployment with labels, containers by name, and fields of its spec."""
    obj: Object = {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "web"}}
    if labels:
        obj["metadata"]["labels"] = dict(labels)
    if images:
        containers = [{"name": name, "image": image} for name, image in images.items()]
        spec["template"] = {"spec": {"containers": containers}}
    if spec:
        obj["spec"] = spec
    return obj


def applied(
    live: Object | None,
    config: Object,
    by: str,
    *,
    force: bool = False,
    now: str = "t1",
    at: str = "",
) -> Object:
    assert DEPLOYMENTS is not None, "checked above"
    assert SCHEMA is not None, "checked above"
    return apply(live, Applied(config, by, force, at, now), DEPLOYMENTS, SCHEMA, SHAPES)


def updated(old: Object, new: Object, by: str) -> Object:
    assert DEPLOYMENTS is not None, "checked above"
    assert SCHEMA is not None, "checked above"
    track_update(
        old, new, SCHEMA, SHAPES, resource=DEPLOYMENTS, subresource="", manager=by, now="t1"
    )
    return new


def owners(obj: Object) -> dict[str, set[str]]:
    return {
        owner.manager: {words_of(path) for path in entry.fields}
        for owner, entry in owners_of(obj).items()
    }


def containers(obj: Object) -> dict[str, str]:
    return {e["name"]: e["image"] for e in obj["spec"]["template"]["spec"]["containers"]}


def test_appliers_share_an_object() -> None:
    """Each owns what it applies, and nothing of the other's."""
    first = applied(None, wanted(replicas=1, images={"a": "1"}), "one")
    both = applied(first, wanted(labels={"x": "y"}, images={"b": "2"}), "two")
    assert both["spec"]["replicas"] == 1
    assert containers(both) == {"a": "1", "b": "2"}
    assert ".spec.replicas" in owners(both)["one"]
    assert owners(both)["two"] == {
        ".metadata.labels.x",
        '.spec.template.spec.containers[name="b"]',
        '.spec.template.spec.containers[name="b"].image',
        '.spec.template.spec.containers[name="b"].name',
    }


def test_what_is_no_longer_applied_goes() -> None:
    """A container, a label and a scalar; what another applies too stays."""
    first = applied(None, wanted({"k": "v"}, {"a": "1", "b": "2"}, replicas=1, paused=True), "one")
    shared = applied(first, wanted(replicas=1), "two")
    less = applied(shared, wanted(images={"a": "1"}), "one")
    assert containers(less) == {"a": "1"}
    assert "labels" not in less["metadata"]
    assert "paused" not in less["spec"]
    assert less["spec"]["replicas"] == 1
    assert ".spec.replicas" not in owners(less)["one"]


def test_a_container_of_two_owners_goes_with_the_last() -> None:
    """One gives it up: it stays whole enough for the other."""
    first = applied(None, wanted(images={"a": "1", "b": "2"}), "one")
    shared = applied(first, wanted(images={"b": "2"}), "two")
    less = applied(shared, wanted(images={"a": "1"}), "one")
    assert containers(less) == {"a": "1", "b": "2"}
    assert containers(applied(less, wanted(replicas=1), "two")) == {"a": "1"}


def test_a_container_goes_with_who_applied_it() -> None:
    """Though somebody has set its image since: they own the image, and not the container."""
    first = applied(None, wanted(images={"a": "1", "b": "2"}), "one")
    edited = updated(first, {**first, **wanted(images={"a": "1", "b": "3"})}, "editor")
    less = applied(edited, wanted(images={"a": "1"}), "one")
    assert containers(less) == {"a": "1"}
    assert "editor" not in owners(less)


def test_a_conflict_names_owner_and_field() -> None:
    """One field, in the words that kubectl shows."""
    first = updated({"metadata": {}}, wanted(replicas=1), "kubectl-edit")
    with pytest.raises(ApiError) as refused:
        applied(first, wanted(replicas=2), "one")
    error = refused.value
    assert (error.code, error.reason) == (409, "Conflict")
    assert error.message == (
        'Apply failed with 1 conflict: conflict with "kubectl-edit" using apps/v1: .spec.replicas'
    )
    assert [(c.reason, c.message, c.field) for c in error.causes] == [
        (
            "FieldManagerConflict",
            'conflict with "kubectl-edit" using apps/v1',
            ".spec.replicas",
        )
    ]


def test_many_conflicts_are_listed_by_owner() -> None:
    """Two owners, one of them an applier, which has no version."""
    first = applied(None, wanted({"a": "1"}, replicas=1), "other")
    second = updated(first, {**first, "spec": {**first["spec"], "paused": True}}, "editor")
    with pytest.raises(ApiError) as refused:
        applied(second, wanted({"a": "2"}, replicas=2, paused=False), "one")
    assert refused.value.message == (
        'Apply failed with 3 conflicts: conflicts with "editor" using apps/v1:\n'
        "- .spec.paused\n"
        'conflicts with "other":\n'
        "- .metadata.labels.a\n"
        "- .spec.replicas"
    )


def test_kubectl_takes_what_it_applied_from_the_clients_side() -> None:
    """Its annotation says which. Of others, for others, and of what was changed since: conflict."""
    first = wanted(replicas=1, paused=True)
    text = json.dumps(wanted(replicas=1))
    first["metadata"]["annotations"] = {LAST_APPLIED: text}
    live = updated({"metadata": {}}, first, "kubectl-client-side-apply")
    assert applied(live, wanted(replicas=2), "kubectl")["spec"]["replicas"] == 2
    for by, config in (("kubectl", wanted(paused=False)), ("other", wanted(replicas=2))):
        with pytest.raises(ApiError, match="Apply failed with 1 conflict"):
            applied(live, config, by)
    changed = updated(live, {**live, "spec": {"replicas": 3, "paused": True}}, "editor")
    with pytest.raises(ApiError, match="Apply failed with 1 conflict"):
        applied(changed, wanted(replicas=2), "kubectl")


def test_force_takes_the_field() -> None:
    """The other does not own it any more."""
    first = applied(None, wanted(replicas=1, paused=True), "other")
    found = applied(first, wanted(replicas=2), "one", force=True)
    assert found["spec"]["replicas"] == 2
    assert owners(found) == {"one": {".spec.replicas"}, "other": {".spec.paused"}}


def test_the_same_value_is_no_conflict() -> None:
    """Both own it then."""
    first = applied(None, wanted(replicas=1), "other")
    found = applied(first, wanted(replicas=1), "one")
    assert owners(found) == {"one": {".spec.replicas"}, "other": {".spec.replicas"}}


def test_applying_again_changes_nothing() -> None:
    """Not even a time."""
    first = applied(None, wanted({"a": "b"}, {"x": "1"}, replicas=1), "one", now="t1")
    assert applied(first, wanted({"a": "b"}, {"x": "1"}, replicas=1), "one", now="t2") == first


def test_what_was_there_before_ownership_was_noted_has_an_owner() -> None:
    """before-first-apply."""
    with pytest.raises(ApiError) as refused:
        applied(wanted(replicas=1), wanted(replicas=2), "one")
    assert 'conflict with "before-first-apply" using apps/v1' in refused.value.message


def test_a_status_is_applied_apart() -> None:
    """Through the subresource the status alone, through the object everything else."""
    obj = wanted(replicas=1) | {"status": {"replicas": 7}}
    first = applied(None, obj, "one")
    assert "status" not in first
    found = applied(first, obj, "one", at="status")
    assert found["status"] == {"replicas": 7}
    entries = {each.get("subresource", ""): each for each in found["metadata"]["managedFields"]}
    assert entries["status"]["fieldsV1"] == {"f:status": {"f:replicas": {}}}
    assert entries[""]["fieldsV1"] == {"f:spec": {"f:replicas": {}}}


def test_items_applied_come_in_the_order_applied() -> None:
    """The others stay before those that they stood before."""
    live = wanted(images={"a": "1", "b": "1", "c": "1"})
    config = wanted(images={"c": "2", "d": "2", "a": "2"})
    assert SCHEMA is not None, "checked above"
    found = merge(live, config, SCHEMA, SHAPES)
    assert containers(found) == {"c": "2", "d": "2", "a": "2", "b": "1"}
    assert list(containers(found)) == ["c", "d", "a", "b"]


@pytest.mark.parametrize("images", [[{"image": "x"}], [{"name": "a"}, {"name": "a"}]])
def test_items_without_keys_of_their_own_are_refused(images: list[Object]) -> None:
    """As a real apiserver does: 500, and what is wrong."""
    config = wanted(template={"spec": {"containers": images}})
    with pytest.raises(ApiError) as refused:
        applied(None, config, "one")
    assert refused.value.code == 500
    assert refused.value.message.startswith("failed to create typed patch object (/web; apps/v1, ")


# --- against an oracle --------------------------------------------------------------------------


class Model:
    """Labels as a dict, their appliers as sets: the rules of apply in a few lines."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.owned: dict[str, set[str]] = {}

    def apply(self, by: str, config: dict[str, str], *, force: bool) -> bool:
        """Whether there was no conflict."""
        others = {n: keys for n, keys in self.owned.items() if n != by}
        held = set().union(*others.values()) if others else set()
        fought = {k for k in config if k in held and self.values[k] != config[k]}
        if fought and not force:
            return False
        for name in others:
            self.owned[name] = others[name] - fought
        for key in self.owned.get(by, set()) - config.keys() - held:
            del self.values[key]
        self.values.update(config)
        self.owned[by] = set(config)
        return True


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["one", "two", "three"]),
        st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"), max_size=4),
        st.booleans(),
    ),
    max_size=10,
)


@given(STEPS)
def test_any_sequence_of_applies_does_what_the_model_does(
    steps: list[tuple[str, dict[str, str], bool]],
) -> None:
    """Values, owners and conflicts, after every step, for maps and for keyed lists at once."""
    model = Model()
    live: Object = applied(None, wanted(replicas=1), "base")
    for by, config, force in steps:
        fits = model.apply(by, config, force=force)
        images = {key: f"image{value}" for key, value in config.items()}
        if not fits:
            with pytest.raises(ApiError):
                applied(live, wanted(config, images), by, force=force)
            continue
        live = applied(live, wanted(config, images), by, force=force)
        assert live["metadata"].get("labels", {}) == model.values
        found = live["spec"].get("template", {}).get("spec", {}).get("containers", [])
        told = {e["name"]: e["image"][-1] for e in found if "image" in e}
        assert told == model.values, "an item whose image was taken and given up keeps its name"
        for name, keys in model.owned.items():
            mine = owners(live).get(name, set())
            assert {path[-1] for path in mine if "labels" in path} == keys
