"""Kubernetes' protobuf bodies come out as the JSON they stand for."""

from __future__ import annotations

import base64
import string
import struct
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver_shim.schemas.definitions import Definitions
from apiserver_shim.schemas.protobuf import (
    DEPTH_MAX,
    Field,
    Malformed,
    decode_object,
    messages,
)
from tests.shim.protobuf_encoder import chunk, encode, envelope, varint

NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=4)
KINDS = {
    "core.v1.ConfigMap": "v1",
    "core.v1.Pod": "v1",
    "core.v1.Secret": "v1",
    "core.v1.Service": "v1",
    "apps.v1.Deployment": "apps/v1",
    "batch.v1.CronJob": "batch/v1",
    "networking.v1.Ingress": "networking.k8s.io/v1",
    "coordination.v1.Lease": "coordination.k8s.io/v1",
    "events.v1.Event": "events.k8s.io/v1",
    "core.v1.Binding": "v1",
    "policy.v1.Eviction": "policy/v1",
    "policy.v1beta1.Eviction": "policy/v1beta1",
    "autoscaling.v1.Scale": "autoscaling/v1",
    "authentication.v1.TokenRequest": "authentication.k8s.io/v1",
    "authentication.v1.TokenReview": "authentication.k8s.io/v1",
    "authorization.v1.SubjectAccessReview": "authorization.k8s.io/v1",
    "rbac.v1.ClusterRole": "rbac.authorization.k8s.io/v1",
}
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "string": NAMES,
    "bytes": st.binary(min_size=1, max_size=4).map(lambda raw: base64.b64encode(raw).decode()),
    "bool": st.just(True),
    "int32": st.integers(-(2**31), 2**31 - 1).filter(bool),
    "int64": st.integers(-(2**63), 2**63 - 1).filter(bool),
    "meta.v1.Time": st.just("2026-02-03T04:05:06Z"),
    "meta.v1.MicroTime": st.integers(1, 999_999).map(lambda n: f"2026-02-03T04:05:06.{n:06d}Z"),
    "resource.Quantity": st.sampled_from(["100m", "1Gi", "2"]),
    "intstr.IntOrString": st.one_of(st.integers(-5, 2**31 - 1), NAMES),
    "authentication.v1.ExtraValue": st.lists(NAMES, min_size=1, max_size=2),
    "authentication.v1.AttestationValue": st.lists(NAMES, min_size=1, max_size=2),
    "authorization.v1.ExtraValue": st.lists(NAMES, min_size=1, max_size=2),
    "meta.v1.FieldsV1": st.just({"f:metadata": {"f:labels": {}}}),
    "runtime.RawExtension": st.just({"a": [1, None, "b"]}),
    "apiextensions.v1.JSON": st.one_of(st.integers(), NAMES, st.just([1])),
}


@st.composite
def objects(draw: st.DrawFn, name: str, depth: int = 0) -> dict[str, Any]:
    """Any value of the message, some of its fields set, none of them zero."""
    found: dict[str, Any] = {}
    fields = list(messages().fields[name].values())
    wanted = draw(st.sets(st.integers(0, len(fields) - 1), max_size=3)) if fields else set()
    for index in sorted(wanted):
        field = fields[index]
        if not field.name:
            found |= draw(objects(field.kind, depth))
        elif field.kind in SPECIAL or depth < 5:
            found[field.name] = draw(_values(field, depth))
    return found


def _values(field: Field, depth: int) -> st.SearchStrategy[Any]:
    one = SPECIAL.get(field.kind)
    if one is None:
        one = objects(field.kind, depth + 1)
    if field.many == "[]":
        return st.lists(one, min_size=1, max_size=2)
    return st.dictionaries(NAMES, one, min_size=1, max_size=2) if field.many == "{}" else one


@given(st.sampled_from(sorted(KINDS)).flatmap(lambda n: st.tuples(st.just(n), objects(n))))
@settings(max_examples=150, deadline=None)
def test_whatever_a_client_encodes_comes_back(given: tuple[str, dict[str, Any]]) -> None:
    """Any object, encoded by the same table of fields."""
    name, obj = given
    api_version, kind = KINDS[name], name.rpartition(".")[2]
    decoded = decode_object(envelope(api_version, kind, encode(name, obj)))
    assert decoded == {"apiVersion": api_version, "kind": kind, **obj}


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_noise_is_refused_or_read_but_never_breaks(noise: bytes) -> None:
    """Random bytes as a message: Malformed or an object."""
    try:
        decode_object(envelope("v1", "Pod", noise))
    except Malformed:
        return


def test_zero_values_are_left_out_where_go_leaves_them_out() -> None:
    """omitempty drops a zero; a number without it stays."""
    port = varint(1 << 3 | 2) + varint(0) + varint(2 << 3) + varint(0) + varint(3 << 3) + varint(0)
    container = chunk(1, b"c") + chunk(2, b"") + chunk(6, port) + chunk(8, b"")
    spec = chunk(3, b"") + chunk(2, container)
    found = decode_object(envelope("v1", "Pod", chunk(1, b"") + chunk(2, spec)))
    assert found == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {},
        "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 0}], "resources": {}}]},
    }


def test_what_stands_behind_a_pointer_is_kept_when_zero() -> None:
    """Zero replicas are not the same as none told."""
    spec = varint(1 << 3) + varint(0)
    found = decode_object(envelope("apps/v1", "Deployment", chunk(2, spec)))
    assert found["spec"] == {"replicas": 0}


def test_an_empty_value_of_a_map_is_a_value() -> None:
    """An entry without a value field has the empty one."""
    found = decode_object(envelope("v1", "Secret", chunk(2, chunk(1, b"k"))))
    assert found["data"] == {"k": ""}


def test_a_time_never_set_is_no_time() -> None:
    """Go's zero time is an empty message."""
    found = decode_object(envelope("v1", "Pod", chunk(1, chunk(1, b"p") + chunk(8, b""))))
    assert found["metadata"] == {"name": "p"}


def test_numbers_may_be_packed() -> None:
    """Repeated numbers in one field."""
    groups = chunk(4, varint(1000) + varint(1001))
    spec = chunk(14, groups)
    found = decode_object(envelope("v1", "Pod", chunk(2, spec)))
    assert found["spec"]["securityContext"] == {"supplementalGroups": [1000, 1001]}


def test_schemas_of_custom_kinds_have_their_unions() -> None:
    """A CustomResourceDefinition's schema: schema or bool, schema or list, a number as default."""
    text, number = chunk(5, b"string"), struct.pack("<d", 1.5)
    props = (
        chunk(24, chunk(1, text))
        + chunk(8, chunk(1, b"7"))
        + varint(9 << 3 | 1)
        + number
        + chunk(30, varint(1 << 3) + varint(1))
    )
    validation = chunk(1, props)
    version = chunk(1, b"v1") + chunk(4, validation)
    crd = chunk(2, chunk(7, version))
    found = decode_object(envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", crd))
    schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert schema == {
        "items": {"type": "string"},
        "default": 7,
        "maximum": 1.5,
        "additionalProperties": True,
    }


def test_options_of_a_delete_belong_to_no_group() -> None:
    """DeleteOptions come with the apiVersion of whatever is deleted."""
    raw = varint(1 << 3) + varint(0) + chunk(4, b"Foreground") + chunk(5, b"All")
    for version in ("v1", "apps/v1", "policy/v1"):
        assert decode_object(envelope(version, "DeleteOptions", raw)) == {
            "apiVersion": version,
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "propagationPolicy": "Foreground",
            "dryRun": ["All"],
        }


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", "does not begin with"),
        (envelope("v1", "Nothing", b""), 'no kind "Nothing" is registered for version "v1"'),
        (envelope("v9", "Pod", b""), 'no kind "Pod" is registered for version "v9"'),
        (envelope("v1", "Pod", b"\x0a\x05ab"), "5 bytes: 2 are left"),
        (envelope("v1", "Pod", b"\x0b"), "wire type 3 of field 1"),
        (envelope("v1", "Pod", b"\xff" * 11), "more than ten bytes"),
        (envelope("v1", "Pod", b"\x80"), "ends within a number"),
        (envelope("v1", "Pod", chunk(1, chunk(1, b"\xff"))), "not UTF-8"),
        (envelope("v1", "Pod", b"\x08\x01"), "a number where bytes should be"),
    ],
)
def test_what_is_no_message_is_named(body: bytes, words: str) -> None:
    """Each way to be malformed has its words."""
    with pytest.raises(Malformed, match=words):
        decode_object(body)


def test_depth_has_a_limit() -> None:
    """A schema within a schema, one level too deep."""
    props = b""
    for _ in range(DEPTH_MAX + 1):
        props = chunk(24, chunk(1, props))
    crd = chunk(2, chunk(7, chunk(4, chunk(1, props))))
    with pytest.raises(Malformed, match=f"deeper than {DEPTH_MAX}"):
        decode_object(envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", crd))


def test_the_fields_are_those_of_the_published_schemas() -> None:
    """Two sources of the same facts: Go's structs and Kubernetes' swagger."""
    published = {
        ".".join(name.split(".")[-3:]): schema["properties"]
        for name, schema in Definitions().all.items()
        if "properties" in schema
    }
    both = sorted(set(published) & set(messages().fields))
    assert len(both) > 350, f"only {len(both)} messages have a schema"
    different = {
        name: set(published[name]) ^ _names(name) - {"apiVersion", "kind"} for name in both
    }
    wrong = {name: found - {"apiVersion", "kind"} for name, found in different.items()}
    assert not {name: found for name, found in wrong.items() if found}


@cache
def _names(message: str) -> set[str]:
    found: set[str] = set()
    for field in messages().fields[message].values():
        found |= {field.name} if field.name else _names(field.kind)
    return found
