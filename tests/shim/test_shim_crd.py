"""Custom kinds: their definitions, and their objects through the API."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from apiserver_shim.custom.resources import rank
from apiserver_shim.custom.structural import schema_violations
from apiserver_shim.schemas.defaults import fill_defaults
from apiserver_shim.schemas.definitions import Definitions
from apiserver_shim.schemas.validation import prune, violations
from tests.e2e.waiting import wait_until
from tests.shim.served_shim import STRATEGIC, ServedShim

Object = dict[str, Any]
DEFINITIONS = Definitions()
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_GROUPS = count(1)

SPEC: Object = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 10},
        "mode": {"type": "string", "enum": ["fast", "slow"], "default": "slow"},
        "name": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 5},
        "port": {"x-kubernetes-int-or-string": True},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "tags": {
            "type": "array",
            "maxItems": 2,
            "items": {"type": "string"},
            "x-kubernetes-list-type": "set",
        },
        "parts": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["id"],
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": {"type": "string"},
                    "count": {"type": "integer", "default": 1},
                },
            },
        },
        "when": {"type": "string", "format": "date-time"},
        "none": {"type": "string", "nullable": True},
    },
}
SCHEMA: Object = {
    "type": "object",
    "properties": {
        "spec": SPEC,
        "status": {"type": "object", "properties": {"ready": {"type": "integer"}}},
    },
}


# --- schemas ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "field", "words"),
    [
        ({"type": "string"}, "s.type", "must be object at the root"),
        ({"type": "object", "properties": {"a": {}}}, "s.properties[a].type", "must not be empty"),
        ({"type": "object", "properties": {"a": {"type": "set"}}}, "s.properties[a].type", "Unsup"),
        ({"type": "object", "$ref": "#/x"}, "s.$ref", "$ref is not supported"),
        (
            {"type": "object", "properties": {"a": {"type": "array"}}},
            "s.properties[a].items",
            "must be specified",
        ),
        (
            {"type": "object", "additionalProperties": False},
            "s.additionalProperties",
            "cannot be set to false",
        ),
        (
            {
                "type": "object",
                "properties": {
                    "a": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
                },
            },
            "s.properties[a].uniqueItems",
            "cannot be set to true",
        ),
        (
            {"type": "object", "anyOf": [{"properties": {"a": {"minimum": 1}}}]},
            "s.properties[a]",
            "because it is defined in s.anyOf[0].properties[a]",
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "integer"}},
                "allOf": [{"properties": {"a": {"type": "integer"}}}],
            },
            "s.allOf[0].properties[a].type",
            "must be empty to be structural",
        ),
        (
            {"type": "object", "properties": {"metadata": {"type": "object", "required": ["x"]}}},
            "s.properties[metadata]",
            "must not specify anything other than name and generateName",
        ),
    ],
)
def test_a_schema_must_be_structural(schema: Object, field: str, words: str) -> None:
    """The path of what is not, in the words of a real apiserver."""
    found = [(each.field, each.message) for each in schema_violations(schema, "s")]
    assert [each for each in found if each[0] == field and words in each[1]], found


def test_a_structural_schema_is_accepted() -> None:
    """The one of these tests."""
    assert not list(schema_violations(SCHEMA, "s"))


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ({}, "spec.size", "Required value"),
        ({"size": "1"}, "spec.size", 'spec.size in body must be of type integer: "string"'),
        ({"size": 0}, "spec.size", "spec.size in body should be greater than or equal to 1"),
        ({"size": 11}, "spec.size", "spec.size in body should be less than or equal to 10"),
        ({"mode": "x"}, "spec.mode", 'Unsupported value: "x": supported values: "fast", "slow"'),
        ({"name": "A1"}, "spec.name", "spec.name in body should match '^[a-z]+$'"),
        ({"name": "a"}, "spec.name", "should be at least 2 chars long"),
        ({"name": "abcdef"}, "spec.name", "Too long: may not be more than 5 bytes"),
        ({"port": 1.5}, "spec.port", "must be of type integer,string"),
        ({"tags": ["a", "b", "c"]}, "spec.tags", "Too many: 3: must have at most 2 items"),
        ({"tags": ["a", "a"]}, "spec.tags[1]", 'Duplicate value: "a"'),
        ({"parts": [{"id": "a"}, {"id": "a"}]}, "spec.parts[1]", 'Duplicate value: {"id":"a"}'),
        ({"when": "yesterday"}, "spec.when", "must be of type date-time"),
        ({"name": None}, "spec.name", "must be of type string"),
    ],
)
def test_an_object_against_its_schema(spec: Object, field: str, words: str) -> None:
    """Each rule of a schema, by the field that breaks it."""
    obj = {"spec": {"size": 1, **spec} if spec else {}}
    found = [(each.field, each.message) for each in violations(obj, SCHEMA, DEFINITIONS)]
    assert [each for each in found if each[0] == field and words in each[1]], found


def test_an_object_in_an_object_has_what_every_object_has() -> None:
    """x-kubernetes-embedded-resource: it says what it is, and nothing of its envelope is cut."""
    inner: Object = {"type": "object", "properties": {"spec": {"type": "object"}}}
    schema = {
        "type": "object",
        "properties": {"template": {**inner, "x-kubernetes-embedded-resource": True}},
    }
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}}
    obj: Object = {"template": {**whole, "odd": 1}}
    assert prune(obj, schema, DEFINITIONS) == ["template.odd"]
    assert obj == {"template": whole}
    assert not violations(obj, schema, DEFINITIONS)
    nameless = violations({"template": {"spec": {}}}, schema, DEFINITIONS)
    assert [each.field for each in nameless] == ["template.apiVersion", "template.kind"]


def test_rules_in_cel_are_kept_and_not_enforced() -> None:
    """As docs/apiserver.md says: a schema with them is taken, and they forbid nothing."""
    rule = {"rule": "self.size > 100", "message": "too small"}
    ruled = {**SCHEMA, "x-kubernetes-validations": [rule]}
    assert not list(schema_violations(ruled, "s"))
    assert not violations({"spec": {"size": 1}}, ruled, DEFINITIONS)


def test_what_only_narrows_is_checked_too() -> None:
    """anyOf, oneOf, allOf and not."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        "not": {"properties": {"a": {"enum": [13]}}, "required": ["a"]},
    }
    assert not violations({"a": 1}, schema, DEFINITIONS)
    for wrong in ({}, {"a": 1, "b": 1}, {"a": 13}):
        assert violations(wrong, schema, DEFINITIONS), wrong


def test_pruning_and_defaults() -> None:
    """Unknown fields go but where they are wanted; missing ones come, in items as well."""
    obj: Object = {
        "spec": {
            "size": 1,
            "odd": 1,
            "free": {"any": {"thing": 1}},
            "none": None,
            "parts": [{"id": "a", "odd": 1}],
        }
    }
    assert prune(obj, SCHEMA, DEFINITIONS) == ["spec.odd", "spec.parts[0].odd"]
    fill_defaults(obj, SCHEMA, DEFINITIONS)
    assert obj == {
        "spec": {
            "size": 1,
            "free": {"any": {"thing": 1}},
            "none": None,
            "parts": [{"id": "a", "count": 1}],
            "mode": "slow",
        }
    }


def test_what_a_preserving_schema_knows_is_still_pruned() -> None:
    """Below a known field of an object that keeps unknown ones."""
    schema = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"known": {"type": "object", "properties": {"a": {"type": "integer"}}}},
    }
    obj = {"other": {"b": 1}, "known": {"a": 1, "b": 1}}
    assert prune(obj, schema, DEFINITIONS) == ["known.b"]
    assert obj == {"other": {"b": 1}, "known": {"a": 1}}


def test_versions_are_ranked() -> None:
    """Stable before beta before alpha, higher before lower, other names last."""
    versions = ["foo", "v1alpha1", "v1", "v2beta1", "v10", "v2", "v1beta2"]
    ranked = sorted(versions, key=rank)
    assert ranked == ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "foo"]


# --- through the API ----------------------------------------------------------------------------


def definition(domain: str, **spec: Any) -> Object:
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": SCHEMA},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
    }
    return {
        "metadata": {"name": f"gears.{domain}"},
        "spec": {
            "group": domain,
            "scope": "Namespaced",
            "names": {"plural": "gears", "kind": "Gear", "shortNames": ["gr"]},
            "versions": [version, {**version, "name": "v1beta1", "storage": False}],
            **spec,
        },
    }


def established(shim: ServedShim, name: str) -> Any:
    found = shim.get(f"{CRDS}/{name}").body
    conditions = found.get("status", {}).get("conditions", ())
    return (
        found
        if any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
        else None
    )


@pytest.fixture
def group(served_shim: ServedShim) -> Iterator[str]:
    """An API group with the kind Gear, until the test ends."""
    group = f"g{next(_GROUPS)}.example.com"
    made = served_shim.create(CRDS, definition(group))
    assert made.code == 201, made
    wait_until(lambda: established(served_shim, f"gears.{group}"), "the definition is served")
    yield group
    served_shim.delete(f"{CRDS}/gears.{group}")


@pytest.fixture
def gears(group: str, namespace: str) -> str:
    """Where the objects are."""
    return f"{namespace.replace('/api/v1', f'/apis/{group}/v1')}/gears"


def gear(**spec: Any) -> Object:
    return {"metadata": {"name": "one"}, "spec": {"size": 1, **spec}}


@pytest.mark.e2e
def test_a_definition_says_what_it_serves(served_shim: ServedShim, group: str) -> None:
    """Its status, and discovery."""
    found = served_shim.get(f"{CRDS}/gears.{group}").body
    status = found["status"]
    assert status["storedVersions"] == ["v1"]
    assert status["acceptedNames"] == {
        "plural": "gears",
        "kind": "Gear",
        "shortNames": ["gr"],
        "singular": "gear",
        "listKind": "GearList",
    }
    told = served_shim.get(f"/apis/{group}/v1").body["resources"]
    assert [each["name"] for each in told] == ["gears", "gears/status"]
    assert told[0]["shortNames"] == ["gr"]
    versions = served_shim.get(f"/apis/{group}").body["versions"]
    assert [each["version"] for each in versions] == ["v1", "v1beta1"]
    document = served_shim.get(f"/openapi/v3/apis/{group}/v1").body
    schema = document["components"]["schemas"][f"{'.'.join(reversed(group.split('.')))}.v1.Gear"]
    assert schema["properties"]["spec"]["properties"]["size"]["maximum"] == 10


@pytest.mark.e2e
def test_objects_are_completed_pruned_and_checked(served_shim: ServedShim, gears: str) -> None:
    """Defaults, unknown fields as fieldValidation asks, and 422."""
    made = served_shim.create(gears, gear(odd=1))
    assert (made.code, made.body["spec"]) == (201, {"size": 1, "mode": "slow"})
    assert made.warnings == ['299 - "unknown field \\"spec.odd\\""']
    strict = served_shim.create(gears, gear(odd=1), fieldValidation="Strict")
    assert strict.code == 400
    assert 'strict decoding error: unknown field "spec.odd"' in strict.message
    refused = served_shim.merge(f"{gears}/one", {"spec": {"size": 99}})
    assert (refused.code, refused.fields) == (422, ["spec.size"])
    strategic = served_shim.ask("PATCH", f"{gears}/one", {}, content_type=STRATEGIC)
    assert strategic.code == 415


@pytest.mark.e2e
def test_a_status_is_apart(served_shim: ServedShim, gears: str) -> None:
    """Ignored on the object, alone in the subresource; the generation counts the spec."""
    served_shim.create(gears, gear() | {"status": {"ready": 1}})
    assert "status" not in served_shim.get(f"{gears}/one").body
    changed = {"spec": {"size": 5}, "status": {"ready": 2}}
    found = served_shim.merge(f"{gears}/one/status", changed).body
    assert (found["spec"]["size"], found["status"]) == (1, {"ready": 2})
    assert found["metadata"]["generation"] == 1
    found = served_shim.merge(f"{gears}/one", changed).body
    assert found["metadata"]["generation"] == 2
    assert found["spec"]["size"] == 5


@pytest.mark.e2e
def test_versions_differ_in_their_name(served_shim: ServedShim, gears: str) -> None:
    """Written in one, read and changed in the other, listed in either."""
    beta = gears.replace("/v1/", "/v1beta1/")
    assert served_shim.create(beta, gear()).body["apiVersion"].endswith("/v1beta1")
    assert served_shim.get(f"{gears}/one").body["apiVersion"].endswith("/v1")
    changed = served_shim.merge(f"{beta}/one", {"spec": {"size": 3}})
    assert changed.code == 200, changed
    items = served_shim.get(gears).body["items"]
    assert [(e["apiVersion"][-3:], e["spec"]["size"]) for e in items] == [("/v1", 3)]


@pytest.mark.e2e
def test_apply_knows_keys_of_custom_kinds(served_shim: ServedShim, gears: str, group: str) -> None:
    """Two appliers share a list by its map keys."""
    head = {"apiVersion": f"{group}/v1", "kind": "Gear"}
    for by, part in (("one", "a"), ("two", "b")):
        config = head | gear(parts=[{"id": part}])
        assert served_shim.apply(f"{gears}/one", config, by).code in (200, 201)
    found = served_shim.get(f"{gears}/one").body["spec"]["parts"]
    assert [each["id"] for each in found] == ["a", "b"]
    unknown = served_shim.apply(f"{gears}/one", head | gear(odd=1), "one")
    assert unknown.code == 500
    assert unknown.message.endswith(".spec.odd: field not declared in schema")


@pytest.mark.e2e
def test_a_definition_takes_its_objects_with_it(
    served_shim: ServedShim, gears: str, group: str
) -> None:
    """They go, then the kind; an object with a finalizer holds it up."""
    held = gear()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    assert served_shim.create(gears, held).code == 201
    assert served_shim.create(gears, gear() | {"metadata": {"name": "two"}}).code == 201
    path = f"{CRDS}/gears.{group}"
    assert served_shim.delete(path).code == 200
    wait_until(lambda: served_shim.get(f"{gears}/two").code == 404 or None, "the free one is gone")
    assert served_shim.get(path).body["metadata"]["deletionTimestamp"]
    assert "deletionTimestamp" in served_shim.get(f"{gears}/one").body["metadata"]
    served_shim.merge(f"{gears}/one", {"metadata": {"finalizers": None}})
    wait_until(lambda: served_shim.get(path).code == 404 or None, "the definition is gone")
    wait_until(lambda: served_shim.get(gears).code == 404 or None, "the kind is not served")


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"group": "nodot"}, "spec.group"),
        ({"scope": "Galaxy"}, "spec.scope"),
        ({"versions": []}, "spec.versions"),
        ({"names": {"plural": "Gears", "kind": "Gear"}}, "spec.names.plural"),
        ({"conversion": {"strategy": "Webhook"}}, "spec.conversion.strategy"),
        (
            {"versions": [{"name": "v1", "served": True, "storage": True}]},
            "spec.versions[0].schema.openAPIV3Schema",
        ),
    ],
)
def test_a_definition_that_makes_no_sense(
    served_shim: ServedShim, change: Object, field: str
) -> None:
    """422 that names the field."""
    refused = served_shim.create(CRDS, definition("bad.example.com", **change))
    assert refused.code == 422, refused
    assert field in refused.fields


@pytest.mark.e2e
def test_a_name_that_is_taken_is_not_accepted(served_shim: ServedShim, group: str) -> None:
    """The second definition of a kind in a group is not served, and says why."""
    other = definition(group, names={"plural": "wheels", "kind": "Gear"})
    other["metadata"]["name"] = f"wheels.{group}"
    assert served_shim.create(CRDS, other).code == 201
    path = f"{CRDS}/wheels.{group}"
    found = wait_until(lambda: served_shim.get(path).body.get("status"), "it has a status")
    told = {each["type"]: (each["status"], each["reason"]) for each in found["conditions"]}
    assert told == {
        "NamesAccepted": ("False", "ListKindConflict"),
        "Established": ("False", "NotAccepted"),
    }
    assert served_shim.delete(path).code == 200
