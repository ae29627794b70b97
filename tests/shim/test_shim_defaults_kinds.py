"""Defaults and rules of the other kinds, through the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.shim.served_shim import ServedShim

pytestmark = pytest.mark.e2e
Object = dict[str, Any]


def template(**labels: str) -> Object:
    return {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "b"}]}}


def workload(**spec: Any) -> Object:
    return {
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template(a="b"), **spec},
    }


def path_of(namespace: str, group: str, plural: str) -> str:
    return namespace.replace("/api/v1", f"/apis/{group}/v1") + f"/{plural}"


def test_a_deployment_is_completed(served_shim: ServedShim, namespace: str) -> None:
    """Strategy, history, deadline, and the pods of its template."""
    made = served_shim.create(path_of(namespace, "apps", "deployments"), workload())
    assert made.code == 201, made
    spec = made.body["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
    assert spec["template"]["spec"]["restartPolicy"] == "Always"


@pytest.mark.parametrize(
    ("plural", "name", "value"),
    [
        ("daemonsets", "updateStrategy", {"maxUnavailable": 1, "maxSurge": 0}),
        ("statefulsets", "updateStrategy", {"partition": 0}),
    ],
)
def test_other_workloads_are_completed(
    served_shim: ServedShim, namespace: str, plural: str, name: str, value: Object
) -> None:
    """Each with its own strategy."""
    made = served_shim.create(path_of(namespace, "apps", plural), workload())
    assert made.body["spec"][name] == {"type": "RollingUpdate", "rollingUpdate": value}


def test_a_job_selects_its_own_pods(served_shim: ServedShim, namespace: str) -> None:
    """By its uid, in the labels of its template."""
    job = {"metadata": {"name": "j"}, "spec": {"template": template()}}
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    made = served_shim.create(path_of(namespace, "batch", "jobs"), job)
    assert made.code == 201, made
    uid = made.body["metadata"]["uid"]
    assert made.body["spec"]["selector"] == {
        "matchLabels": {"batch.kubernetes.io/controller-uid": uid}
    }
    assert made.body["spec"]["template"]["metadata"]["labels"] == {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": "j",
        "controller-uid": uid,
        "job-name": "j",
    }
    assert (made.body["spec"]["completions"], made.body["spec"]["backoffLimit"]) == (1, 6)


@pytest.mark.parametrize(
    ("group", "plural", "spec", "field", "words"),
    [
        (
            "apps",
            "deployments",
            workload(template=template(a="c"))["spec"],
            "spec.template.metadata.labels",
            '{"a":"c"}: `selector` does not match template `labels`',
        ),
        (
            "apps",
            "deployments",
            workload(replicas=-1)["spec"],
            "spec.replicas",
            "Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "apps",
            "deployments",
            workload(strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}})["spec"],
            "spec.strategy.rollingUpdate",
            "may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            "apps",
            "statefulsets",
            workload(updateStrategy={"type": "OnDelete", "rollingUpdate": {"partition": 1}})[
                "spec"
            ],
            "spec.updateStrategy.rollingUpdate",
            "only allowed for updateStrategy 'RollingUpdate'",
        ),
        (
            "batch",
            "jobs",
            {"template": template()},
            "spec.template.spec.restartPolicy",
            'Unsupported value: "Always": supported values: "OnFailure", "Never"',
        ),
        (
            "batch",
            "cronjobs",
            {"schedule": "* *", "jobTemplate": {"spec": {"template": template()}}},
            "spec.schedule",
            "expected exactly 5 fields, found 2",
        ),
    ],
)
def test_a_workload_that_makes_no_sense(
    served_shim: ServedShim,
    namespace: str,
    group: str,
    plural: str,
    spec: Object,
    field: str,
    words: str,
) -> None:
    """422 that names the field."""
    body = {"metadata": {"name": "x"}, "spec": spec}
    refused = served_shim.create(path_of(namespace, group, plural), body)
    assert refused.code == 422
    assert field in refused.fields
    assert words in refused.message


def test_a_selector_cannot_change(served_shim: ServedShim, namespace: str) -> None:
    """field is immutable."""
    path = path_of(namespace, "apps", "deployments")
    served_shim.create(path, workload())
    change = {"spec": {"selector": {"matchLabels": {"c": "d"}}, "template": template(a="b", c="d")}}
    refused = served_shim.merge(f"{path}/web", change)
    assert refused.code == 422
    assert refused.fields == ["spec.selector"]
    assert refused.message.endswith("field is immutable")


def test_a_port_may_have_two_names(served_shim: ServedShim, namespace: str) -> None:
    """Lists of built-in kinds may repeat their keys, and an update of such an object works."""
    ports = [{"name": "a", "containerPort": 80}, {"name": "b", "containerPort": 80}]
    container = {"name": "c", "image": "i", "ports": ports}
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [container]}}
    assert served_shim.create(f"{namespace}/pods", pod).code == 201
    changed = served_shim.merge(f"{namespace}/pods/p", {"metadata": {"labels": {"a": "b"}}})
    assert changed.code == 200, changed


def service(**spec: Any) -> Object:
    return {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], **spec}}


def test_a_service_gets_an_address_and_ports(served_shim: ServedShim, namespace: str) -> None:
    """And keeps them; a NodePort's number goes with its type."""
    path = f"{namespace}/services"
    made = served_shim.create(path, service(type="NodePort"))
    assert made.code == 201, made
    spec = made.body["spec"]
    assert spec["clusterIP"].startswith("10.96.")
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert spec["ipFamilies"] == ["IPv4"]
    assert spec["ports"][0]["targetPort"] == 80
    assert 30000 <= spec["ports"][0]["nodePort"] <= 32767
    replaced = served_shim.update(f"{path}/s", service(type="NodePort"))
    assert replaced.code == 200, replaced
    assert replaced.body["spec"]["clusterIP"] == spec["clusterIP"]
    assert replaced.body["spec"]["ports"] == spec["ports"]
    inside = served_shim.merge(f"{path}/s", {"spec": {"type": "ClusterIP"}})
    assert inside.code == 200, inside
    assert "nodePort" not in inside.body["spec"]["ports"][0]


def test_addresses_are_given_once(served_shim: ServedShim, namespace: str) -> None:
    """An address and a port that another service has, and ones out of range."""
    path = f"{namespace}/services"
    taken = served_shim.create(path, service(type="NodePort")).body["spec"]
    for spec, field, words in (
        (
            {"clusterIP": taken["clusterIP"]},
            "spec.clusterIPs",
            f"failed to allocate IP {taken['clusterIP']}: provided IP is already allocated",
        ),
        ({"clusterIP": "8.8.8.8"}, "spec.clusterIPs", "is not in the valid range"),
        ({"clusterIP": "what"}, "spec.clusterIPs[0]", "must be a valid IP address"),
        (
            {"type": "NodePort", "ports": [{"port": 1, "nodePort": taken["ports"][0]["nodePort"]}]},
            "spec.ports[0].nodePort",
            "provided port is already allocated",
        ),
        (
            {"type": "NodePort", "ports": [{"port": 1, "nodePort": 80}]},
            "spec.ports[0].nodePort",
            "The range of valid ports is 30000-32767",
        ),
    ):
        body = service(**spec)
        body["metadata"]["name"] = "other"
        refused = served_shim.create(path, body)
        assert refused.code == 422, spec
        assert refused.fields == [field]
        assert words in refused.message
    moved = served_shim.merge(f"{path}/s", {"spec": {"clusterIP": "10.96.0.99"}})
    assert moved.code == 422
    assert "may not change once set" in moved.message


def test_headless_and_external_services_have_no_address(
    served_shim: ServedShim, namespace: str
) -> None:
    """None stays None, and a name needs none."""
    path = f"{namespace}/services"
    headless = served_shim.create(path, service(clusterIP="None"))
    assert headless.body["spec"]["clusterIPs"] == ["None"]
    named = {
        "metadata": {"name": "n"},
        "spec": {"type": "ExternalName", "externalName": "example.com"},
    }
    found = served_shim.create(path, named)
    assert found.code == 201, found
    assert "clusterIP" not in found.body["spec"]


def test_a_dry_run_claims_nothing(served_shim: ServedShim, namespace: str) -> None:
    """The same address is still free."""
    path = f"{namespace}/services"
    body = service(clusterIP="10.96.7.7")
    assert served_shim.create(path, body, dryRun="All").code == 201
    assert served_shim.get(f"{path}/s").code == 404
    made = served_shim.create(path, body)
    assert made.code == 201, made


def test_a_secret_is_written_plainly_and_read_encoded(
    served_shim: ServedShim, namespace: str
) -> None:
    """stringData becomes data; the type is fixed."""
    path = f"{namespace}/secrets"
    made = served_shim.create(path, {"metadata": {"name": "s"}, "stringData": {"k": "v"}})
    assert made.body["data"] == {"k": "dg=="}
    assert made.body["type"] == "Opaque"
    assert "stringData" not in made.body
    refused = served_shim.merge(f"{path}/s", {"type": "kubernetes.io/tls"})
    assert refused.code == 422
    assert "type" in refused.fields
    broken = served_shim.create(path, {"metadata": {"name": "t"}, "data": {"k": "?"}})
    assert broken.code == 400
    assert "illegal base64 data" in broken.message


def test_what_is_immutable_stays(served_shim: ServedShim, namespace: str) -> None:
    """A ConfigMap's data, and the mark itself."""
    path = f"{namespace}/configmaps"
    body = {"metadata": {"name": "c"}, "data": {"k": "v"}, "immutable": True}
    assert served_shim.create(path, body).code == 201
    for change, field in (({"data": {"k": "w"}}, "data"), ({"immutable": None}, "immutable")):
        refused = served_shim.merge(f"{path}/c", change)
        assert refused.code == 422
        assert refused.fields == [field]
        assert "field is immutable when `immutable` is set" in refused.message


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("configmaps", {"data": {"a b": "c"}}, "data[a b]"),
        (
            "persistentvolumeclaims",
            {"spec": {"resources": {"requests": {"storage": "1Gi"}}}},
            "spec.accessModes",
        ),
        ("configmaps", {"metadata": {"name": "x", "labels": {"a": "-"}}}, "metadata.labels"),
        ("configmaps", {"metadata": {"name": "x", "labels": {"a/b/c": ""}}}, "metadata.labels"),
        ("configmaps", {"metadata": {"name": "x", "finalizers": ["?"]}}, "metadata.finalizers[0]"),
    ],
)
def test_what_other_kinds_refuse(
    served_shim: ServedShim, namespace: str, path: str, body: Object, field: str
) -> None:
    """422 that names the field."""
    refused = served_shim.create(f"{namespace}/{path}", {"metadata": {"name": "x"}, **body})
    assert refused.code == 422, refused
    assert field in refused.fields


def test_a_binding_keeps_its_role(served_shim: ServedShim, namespace: str) -> None:
    """roleRef cannot change; its group and its users' are filled in."""
    path = path_of(namespace, "rbac.authorization.k8s.io", "rolebindings")
    body = {
        "metadata": {"name": "b"},
        "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [{"kind": "User", "name": "u"}],
    }
    made = served_shim.create(path, body)
    assert made.code == 201, made
    assert made.body["subjects"][0]["apiGroup"] == "rbac.authorization.k8s.io"
    refused = served_shim.merge(f"{path}/b", {"roleRef": {"name": "other"}})
    assert refused.code == 422
    assert refused.fields == ["roleRef"]
    assert "cannot change roleRef" in refused.message
