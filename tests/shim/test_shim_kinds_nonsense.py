"""Whatever the schema allows, the code of defaults, rules, ownership and apply takes."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apiserver_shim.api.status import ApiError
from apiserver_shim.custom.resources import full_schema
from apiserver_shim.kinds.defaulting import fill_in
from apiserver_shim.kinds.rules import violations_of
from apiserver_shim.patches.apply import Applied, apply
from apiserver_shim.patches.field_set import Shapes
from apiserver_shim.patches.managed_fields import owners_of, track_update
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.resources.resource import Resource
from apiserver_shim.schemas.definitions import Definitions
from apiserver_shim.schemas.validation import prune, violations
from tests.shim.schema_objects import drawn

DEFINITIONS = Definitions()
SHAPES = Shapes(DEFINITIONS)
KINDS = [
    each
    for each in Catalogue()
    if not each.stored_as
    and each.kind
    in (
        "ConfigMap",
        "CronJob",
        "CustomResourceDefinition",
        "DaemonSet",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Ingress",
        "Job",
        "LimitRange",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "Pod",
        "ReplicationController",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "Secret",
        "Service",
        "StatefulSet",
    )
]


def made(draw: st.DrawFn, resource: Resource) -> dict[str, Any]:
    schema = DEFINITIONS.of(resource)
    assert schema is not None, f"{resource.kind} has a schema"
    obj: dict[str, Any] = drawn(draw, schema, DEFINITIONS)
    metadata = {"name": "x", "uid": "u", "labels": {"a": "b"}}
    obj |= {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
    prune(obj, schema, DEFINITIONS)
    assert not [e for e in violations(obj, schema, DEFINITIONS) if "Duplicate" not in e.reason]
    return obj


@pytest.mark.parametrize("resource", KINDS, ids=lambda each: each.kind)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_nonsense_is_taken_or_refused(resource: Resource, data: st.DataObject) -> None:
    """Completed twice it is the same; rules, ownership and apply end in an answer."""

    @st.composite
    def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
        return made(draw, resource), made(draw, resource)

    old, new = data.draw(pairs())
    schema = DEFINITIONS.of(resource)
    assert schema is not None, f"{resource.kind} has a schema"
    fill_in(resource, old, None)
    again = deepcopy(old)
    fill_in(resource, again, old)
    assert again == old, "defaults are filled in once"
    fill_in(resource, new, old)
    violations_of(resource, old, None)
    violations_of(resource, new, old)
    for before, after, manager in ((None, old, "one"), (old, new, "two")):
        track_update(
            before,
            after,
            schema,
            SHAPES,
            resource=resource,
            subresource="",
            manager=manager,
            now="t",
        )
    managers = {owner.manager for owner in owners_of(new)}
    assert managers <= {"one", "two"}
    config = {**old, "metadata": {"name": "x"}}
    try:
        found = apply(new, Applied(config, "three", True, "", "t"), resource, schema, SHAPES)
    except ApiError as e:
        assert e.code == 500  # noqa: PT017 - keys that a list needs are missing
    else:
        assert found["metadata"]["name"] == "x"


def test_a_custom_schema_keeps_what_every_object_has() -> None:
    """apiVersion, kind and metadata, whatever the definition says of them."""
    schema = full_schema({"type": "object", "properties": {"metadata": {"type": "object"}}})
    assert "$ref" in schema["properties"]["metadata"]
