"""A kind in two versions: one object, seen in both."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.resources.versions import from_stored, to_stored
from tests.shim.served_shim import JSON_PATCH, MERGE, STRATEGIC, ServedShim

OTHER_VERSIONS = [each for each in Catalogue() if each.stored_as]
CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
}
MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 60}},
}
TARGET = {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}
pytestmark = pytest.mark.e2e


def elsewhere(namespace: str, group_version: str, plural: str) -> str:
    return f"/apis/{group_version}{namespace.removeprefix('/api/v1')}/{plural}"


def event(name: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "message": "it began",
        "reason": "Began",
        "type": "Normal",
        "source": {"component": "tester"},
        "count": 2,
    }


def test_an_event_is_the_same_in_both_groups(served_shim: ServedShim, namespace: str) -> None:
    """Written in one, read in the other, both ways."""
    core, other = f"{namespace}/events", elsewhere(namespace, "events.k8s.io/v1", "events")
    assert served_shim.create(core, event("a")).code == 201
    seen = served_shim.get(f"{other}/a").body
    assert seen["apiVersion"] == "events.k8s.io/v1"
    assert (seen["note"], seen["regarding"]["name"]) == ("it began", "p")
    assert (seen["deprecatedCount"], seen["deprecatedSource"]) == (2, {"component": "tester"})
    assert not {"message", "involvedObject", "source", "count"} & set(seen)
    new = {**seen, "metadata": {"name": "b"}, "note": "it ended"}
    assert served_shim.create(other, new).code == 201
    assert served_shim.get(f"{core}/b").body["message"] == "it ended"
    assert served_shim.get(f"{core}/b").body["apiVersion"] == "v1"


def test_a_list_names_the_version_it_was_asked_in(served_shim: ServedShim, namespace: str) -> None:
    """So do its items; selectors use that version's fields."""
    core, other = f"{namespace}/events", elsewhere(namespace, "events.k8s.io/v1", "events")
    for name in ("a", "b"):
        served_shim.create(core, event(name))
    found = served_shim.ask("GET", other, fieldSelector="regarding.name=p,reason!=Ended").body
    assert found["apiVersion"] == "events.k8s.io/v1"
    assert [(each["apiVersion"], each["note"]) for each in found["items"]] == [
        ("events.k8s.io/v1", "it began")
    ] * 2
    none = served_shim.ask("GET", other, fieldSelector="regarding.name=q").body
    assert none["items"] == []
    assert served_shim.ask("GET", other, fieldSelector="involvedObject.name=p").code == 400


def test_a_watch_speaks_the_version_it_was_asked_in(
    served_shim: ServedShim, namespace: str
) -> None:
    """The synthetic ADDED of an event."""
    served_shim.create(f"{namespace}/events", event("a"))
    other = elsewhere(namespace, "events.k8s.io/v1", "events")
    text = served_shim.ask_text("GET", other, watch="1", timeoutSeconds="1")
    line = json.loads(text.splitlines()[0])
    assert line["type"] == "ADDED"
    assert (line["object"]["apiVersion"], line["object"]["note"]) == (
        "events.k8s.io/v1",
        "it began",
    )


@pytest.mark.parametrize(
    ("content_type", "patch"),
    [
        (MERGE, {"spec": {"maxReplicas": 9}}),
        (STRATEGIC, {"spec": {"maxReplicas": 9}}),
        (JSON_PATCH, [{"op": "replace", "path": "/spec/maxReplicas", "value": 9}]),
    ],
)
def test_a_patch_in_the_older_version_loses_nothing_of_the_newer(
    served_shim: ServedShim, namespace: str, content_type: str, patch: Any
) -> None:
    """What autoscaling/v1 has no field for survives each kind of patch."""
    newer = elsewhere(namespace, "autoscaling/v2", "horizontalpodautoscalers")
    older = elsewhere(namespace, "autoscaling/v1", "horizontalpodautoscalers")
    spec = {"scaleTargetRef": TARGET, "minReplicas": 1, "maxReplicas": 3, "metrics": [CPU, MEMORY]}
    assert served_shim.create(newer, {"metadata": {"name": "a"}, "spec": spec}).code == 201
    seen = served_shim.get(f"{older}/a").body
    assert seen["spec"]["targetCPUUtilizationPercentage"] == 70
    assert "metrics" not in seen["spec"]
    reply = served_shim.ask("PATCH", f"{older}/a", patch, content_type=content_type)
    assert reply.code == 200, reply
    assert reply.body["apiVersion"] == "autoscaling/v1"
    found = served_shim.get(f"{newer}/a").body
    assert found["spec"] == {**spec, "minReplicas": 1, "maxReplicas": 9}
    assert "annotations" not in found["metadata"]


@pytest.mark.parametrize("resource", OTHER_VERSIONS, ids=lambda each: each.api_version)
def test_an_apply_is_for_the_stored_version(
    served_shim: ServedShim, namespace: str, resource: Any
) -> None:
    """415 elsewhere: ownership of fields is noted in one version only."""
    path = elsewhere(namespace, resource.api_version, resource.plural)
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "a"}}
    reply = served_shim.apply(f"{path}/a", body, "tester")
    assert reply.code == 415, reply


def test_an_update_in_the_older_version_is_checked_as_any(
    served_shim: ServedShim, namespace: str
) -> None:
    """Wrong apiVersion, stale resourceVersion, and the delete."""
    older = elsewhere(namespace, "policy/v1beta1", "poddisruptionbudgets")
    newer = elsewhere(namespace, "policy/v1", "poddisruptionbudgets")
    budget = {"metadata": {"name": "a"}, "spec": {"minAvailable": 1}}
    made = served_shim.create(older, {**budget, "apiVersion": "policy/v1beta1"})
    assert (made.code, made.body["apiVersion"]) == (201, "policy/v1beta1")
    wrong = served_shim.create(older, {**budget, "apiVersion": "policy/v1"})
    assert wrong.code == 400
    stale = {**made.body, "spec": {"minAvailable": 2}}
    assert served_shim.update(f"{older}/a", stale).code == 200
    assert served_shim.update(f"{older}/a", {**stale, "spec": {"minAvailable": 3}}).code == 409
    assert served_shim.get(f"{newer}/a").body["spec"]["minAvailable"] == 2
    assert served_shim.delete(f"{older}/a").code == 200
    assert served_shim.get(f"{newer}/a").code == 404


@pytest.mark.parametrize("resource", OTHER_VERSIONS, ids=lambda each: each.api_version)
def test_every_other_version_shares_its_objects_with_the_stored_one(resource: Any) -> None:
    """The rows agree on where objects lie."""
    stored = Catalogue().find(*resource.stored_group_version, resource.plural)
    assert stored is not None
    assert not stored.stored_as
    assert (stored.prefix, stored.kind) == (resource.prefix, resource.kind)
    assert set(resource.subresources) == set(stored.subresources)


@given(
    st.sampled_from(OTHER_VERSIONS),
    st.dictionaries(
        st.sampled_from(["message", "count", "source", "involvedObject", "data"]), st.integers()
    ),
    st.lists(st.sampled_from([CPU, MEMORY]), max_size=1),
)
def test_there_and_back_is_the_same_object(
    resource: Any, fields: dict[str, int], metrics: list[Any]
) -> None:
    """From the stored form and to it again, for any fields."""
    obj: dict[str, Any] = {
        "kind": resource.kind,
        "apiVersion": resource.stored_as,
        "metadata": {"name": "a"},
        "spec": {"metrics": metrics} if metrics else {},
        **fields,
    }
    assert to_stored(from_stored(obj, resource), resource) == obj
