"""Pods and their templates: what is filled in, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apiserver_shim.api.status import Cause
from apiserver_shim.kinds.pods import default_pod, pod_violations, qos_class
from apiserver_shim.kinds.quantity import parse, told

Object = dict[str, Any]


def pod(*containers: Object, **spec: Any) -> Object:
    found = list(containers) or [{"name": "a", "image": "nginx"}]
    obj: Object = {"metadata": {"name": "p"}, "spec": {"containers": found, **spec}}
    default_pod(obj, None)
    return obj


def complaints(new: Object, old: Object | None = None) -> list[tuple[str, str]]:
    found: Iterator[Cause] = pod_violations(new, old)
    return [(each.field, each.message) for each in found]


def test_a_pod_gets_what_a_real_apiserver_fills_in() -> None:
    """The whole of a minimal pod."""
    assert pod() == {
        "metadata": {"name": "p"},
        "spec": {
            "containers": [
                {
                    "name": "a",
                    "image": "nginx",
                    "imagePullPolicy": "Always",
                    "resources": {},
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                }
            ],
            "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst",
            "terminationGracePeriodSeconds": 30,
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "enableServiceLinks": True,
        },
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.25", "IfNotPresent"),
        ("localhost:5000/nginx", "Always"),
        ("localhost:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    """A port of the registry is no tag."""
    found = pod({"name": "a", "image": image})
    assert found["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_ports_probes_volumes_and_requests_are_completed() -> None:
    """Where they are given, and not where they are not."""
    container = {
        "name": "a",
        "image": "b",
        "ports": [{"containerPort": 80}],
        "livenessProbe": {"httpGet": {"port": 80}},
        "resources": {"limits": {"cpu": "1"}},
        "env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    }
    volumes = [{"name": "e"}, {"name": "c", "configMap": {"name": "x"}}]
    spec = pod(container, volumes=volumes)["spec"]
    found = spec["containers"][0]
    assert found["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert found["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert found["resources"]["requests"] == {"cpu": "1"}
    assert found["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert spec["volumes"][0] == {"name": "e", "emptyDir": {}}
    assert spec["volumes"][1]["configMap"]["defaultMode"] == 420


def test_what_is_given_stays() -> None:
    """No default replaces a value, not even an empty one."""
    spec = pod(restartPolicy="Never", terminationGracePeriodSeconds=0)["spec"]
    assert (spec["restartPolicy"], spec["terminationGracePeriodSeconds"]) == ("Never", 0)


@pytest.mark.parametrize(
    ("resources", "wanted"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
    ],
)
def test_the_class_of_service(resources: Object, wanted: str) -> None:
    """By requests and limits."""
    assert qos_class({"containers": [{"name": "a", "resources": resources}]}) == wanted


@pytest.mark.parametrize(
    ("made", "field", "words"),
    [
        (pod(restartPolicy="Sometimes"), "spec.restartPolicy", 'Unsupported value: "Sometimes"'),
        (pod({"name": "a"}), "spec.containers[0].image", "Required value"),
        (pod({"image": "b"}), "spec.containers[0].name", "Required value"),
        (pod({"name": "A_b", "image": "b"}), "spec.containers[0].name", "RFC 1123 label"),
        (
            pod({"name": "a", "image": "b"}, {"name": "a", "image": "b"}),
            "spec.containers[1].name",
            'Duplicate value: "a"',
        ),
        (
            pod({"name": "a", "image": "b", "ports": [{"containerPort": 70000}]}),
            "spec.containers[0].ports[0].containerPort",
            "must be between 1 and 65535, inclusive",
        ),
        (
            pod({"name": "a", "image": "b", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
            "spec.containers[0].volumeMounts[0].name",
            'Not found: "v"',
        ),
        (
            pod(
                {
                    "name": "a",
                    "image": "b",
                    "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}},
                }
            ),
            "spec.containers[0].resources.requests",
            "must be less than or equal to cpu limit of 1500m",
        ),
        (
            pod({"name": "a", "image": "b", "resources": {"limits": {"cpu": "lots"}}}),
            "spec.containers[0].resources.limits[cpu]",
            "quantities must match the regular expression",
        ),
    ],
)
def test_what_is_wrong_is_named(made: Object, field: str, words: str) -> None:
    """The field's path and the words of a real apiserver."""
    found = complaints(made)
    assert found, f"nothing is wrong with {field}"
    assert found[0][0] == field
    assert words in found[0][1]


def test_a_pod_without_containers_is_refused() -> None:
    """An empty list is none."""
    assert complaints({"metadata": {}, "spec": {"containers": []}}) == [
        ("spec.containers", "Required value")
    ]


def test_only_few_fields_of_a_pod_may_change() -> None:
    """An image may; a command may not."""
    old = pod()
    assert not complaints(pod({"name": "a", "image": "nginx:2", "imagePullPolicy": "Always"}), old)
    changed = complaints(pod({"name": "a", "image": "nginx", "command": ["x"]}), old)
    assert changed[0][0] == "spec"
    assert changed[0][1].startswith("Forbidden: pod updates may not change fields other than")


@pytest.mark.parametrize(
    ("text", "thousandths"),
    [
        ("1", 1000),
        ("100m", 100),
        ("1.5", 1500),
        ("2k", 2_000_000),
        ("1Ki", 1_024_000),
        ("1e1", 10_000),
    ],
)
def test_quantities(text: str, thousandths: int) -> None:
    """Decimal and binary suffixes, and exponents."""
    assert parse(text) * 1000 == thousandths
    assert parse(told(parse(text), text)) == parse(text)


@pytest.mark.parametrize("text", ["", "x", "1x", "--1", "1" * 100, "1e99999", "٣"])
def test_what_is_no_quantity(text: str) -> None:
    """However long or strange."""
    with pytest.raises(ValueError, match="quantities must match"):
        parse(text)
