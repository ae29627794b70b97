"""Admission: namespaces, accounts, priorities, limits and quotas."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver_shim.admission.quotas import concerns
from apiserver_shim.resources.catalogue import Catalogue
from tests.e2e.waiting import wait_until
from tests.shim.served_shim import ServedShim

pytestmark = pytest.mark.e2e
Object = dict[str, Any]
PRIORITIES = "/apis/scheduling.k8s.io/v1/priorityclasses"


def pod(name: str = "p", resources: Object | None = None, **spec: Any) -> Object:
    container = {"name": "c", "image": "i", "resources": resources or {}}
    return {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}


def classes(operator: str, values: list[str] | None = None) -> Object:
    term = {"scopeName": "PriorityClass", "operator": operator, "values": values or []}
    return {"matchExpressions": [term]}


def name_of(namespace: str) -> str:
    return namespace.rpartition("/")[2]


def test_a_namespace_must_be_there(served_shim: ServedShim) -> None:
    """404 that names the namespace, not the object."""
    refused = served_shim.create("/api/v1/namespaces/nowhere/pods", pod())
    assert (refused.code, refused.message) == (404, 'namespaces "nowhere" not found')


def test_nothing_new_in_a_namespace_that_goes(served_shim: ServedShim, namespace: str) -> None:
    """403 with the cause that controllers look for; deletes go on."""
    made = served_shim.create(f"{namespace}/configmaps", {"metadata": {"name": "c"}})
    assert made.code == 201, made
    assert served_shim.delete(namespace).code == 200
    phase = lambda: served_shim.get(namespace).body["status"]["phase"]  # noqa: E731
    wait_until(lambda: phase() == "Terminating" or None, "the namespace is going")
    refused = wait_until(lambda: _refused(served_shim, namespace), "creates are refused")
    name = name_of(namespace)
    assert refused.message == (
        f'configmaps "d" is forbidden: unable to create new content in namespace {name} because '
        "it is being terminated"
    )
    assert refused.body["details"]["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": f"namespace {name} is being terminated",
            "field": "metadata.namespace",
        }
    ]
    assert served_shim.delete(f"{namespace}/configmaps/c").code == 200


def _refused(shim: ServedShim, namespace: str) -> Any:
    """The copy that is asked may be some milliseconds old."""
    reply = shim.create(f"{namespace}/configmaps", {"metadata": {"name": "d"}}, dryRun="All")
    return reply if reply.code == 403 else None


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_some_namespaces_stay(served_shim: ServedShim, name: str) -> None:
    """403, and it is still there."""
    refused = served_shim.delete(f"/api/v1/namespaces/{name}")
    assert refused.code == 403
    assert refused.message == (
        f'namespaces "{name}" is forbidden: this namespace may not be deleted'
    )


def test_a_namespace_carries_its_name(served_shim: ServedShim, namespace: str) -> None:
    """As a label, with its finalizer and its phase."""
    found = served_shim.get(namespace).body
    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": name_of(namespace)}
    assert found["spec"] == {"finalizers": ["kubernetes"]}
    assert found["status"] == {"phase": "Active"}


def test_a_pod_has_an_account_that_is_there(served_shim: ServedShim, namespace: str) -> None:
    """default if it names none; 403 for one that nobody made."""
    made = served_shim.create(f"{namespace}/pods", pod())
    assert made.body["spec"]["serviceAccountName"] == "default"
    refused = served_shim.create(f"{namespace}/pods", pod("q", serviceAccountName="ghost"))
    assert refused.code == 403
    assert refused.message == (
        'pods "q" is forbidden: error looking up service account '
        f'{name_of(namespace)}/ghost: serviceaccount "ghost" not found'
    )
    puller = {"metadata": {"name": "puller"}, "imagePullSecrets": [{"name": "s"}]}
    assert served_shim.create(f"{namespace}/serviceaccounts", puller).code == 201
    made = served_shim.create(f"{namespace}/pods", pod("r", serviceAccountName="puller"))
    assert made.body["spec"]["imagePullSecrets"] == [{"name": "s"}]


def test_a_priority_is_that_of_its_class(served_shim: ServedShim, namespace: str) -> None:
    """By name, built in, none, and one that is not there."""
    body = {"metadata": {"name": f"high-{name_of(namespace)}"}, "value": 1000}
    assert served_shim.create(PRIORITIES, body).code == 201
    name = body["metadata"]["name"]  # type: ignore[index]
    for wanted, value in ((name, 1000), ("system-node-critical", 2_000_001_000), ("", 0)):
        chosen = {"priorityClassName": wanted} if wanted else {}
        made = wait_until(
            lambda c=chosen, v=value: _with_class(served_shim, namespace, c, v), f"class {wanted}"
        )
        assert made["spec"]["preemptionPolicy"] == "PreemptLowerPriority"
    refused = served_shim.create(f"{namespace}/pods", pod(priorityClassName="ghost"))
    assert refused.code == 403
    assert refused.message == 'pods "p" is forbidden: no PriorityClass with name ghost was found'


def _with_class(shim: ServedShim, namespace: str, chosen: Object, value: int) -> Any:
    reply = shim.create(f"{namespace}/pods", pod(**chosen), dryRun="All")
    return reply.body if reply.code == 201 and reply.body["spec"]["priority"] == value else None


def test_user_defined_priorities_are_bounded(served_shim: ServedShim) -> None:
    """Above a billion is the system's."""
    refused = served_shim.create(
        PRIORITIES, {"metadata": {"name": "too-high"}, "value": 1_000_000_001}
    )
    assert refused.code == 422
    assert "maximum allowed value of a user defined priority is 1000000000" in refused.message


def test_limits_fill_in_and_refuse(served_shim: ServedShim, namespace: str) -> None:
    """Defaults for who says nothing, with a note; 403 for who asks too much."""
    limit = {
        "type": "Container",
        "default": {"cpu": "500m"},
        "defaultRequest": {"cpu": "100m"},
        "max": {"cpu": "1"},
        "min": {"cpu": "50m"},
    }
    body = {"metadata": {"name": "l"}, "spec": {"limits": [limit]}}
    assert served_shim.create(f"{namespace}/limitranges", body).code == 201
    made = wait_until(lambda: _limited(served_shim, namespace), "the limit is in the copy")
    assert made["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "100m"},
        "limits": {"cpu": "500m"},
    }
    assert made["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    )
    greedy = pod("q", {"limits": {"cpu": "2"}, "requests": {"cpu": "10m"}})
    refused = served_shim.create(f"{namespace}/pods", greedy)
    assert refused.code == 403
    assert refused.message == (
        'pods "q" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m, '
        "maximum cpu usage per Container is 1, but limit is 2]"
    )


def test_a_quantity_that_is_none_is_refused_by_its_field(
    served_shim: ServedShim, namespace: str
) -> None:
    """422 whoever meets it first, with limits and quotas in the namespace."""
    limit = {"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "1"}}
    bodies = (
        ("limitranges", {"limits": [limit]}),
        ("resourcequotas", {"hard": {"limits.cpu": "1"}}),
    )
    for plural, spec in bodies:
        body = {"metadata": {"name": "x"}, "spec": spec}
        assert served_shim.create(f"{namespace}/{plural}", body).code == 201
    refused = served_shim.create(f"{namespace}/pods", pod("p", {"limits": {"cpu": "lots"}}))
    assert refused.code == 422
    assert "spec.containers[0].resources.limits[cpu]" in refused.fields
    odd = {"metadata": {"name": "y"}, "spec": {"limits": [{**limit, "max": {"cpu": "much"}}]}}
    refused = served_shim.create(f"{namespace}/limitranges", odd)
    assert (refused.code, refused.fields) == (422, ["spec.limits[0].max[cpu]"])


def _limited(shim: ServedShim, namespace: str) -> Any:
    reply = shim.create(f"{namespace}/pods", pod(), dryRun="All")
    return reply.body if "annotations" in reply.body["metadata"] else None


def test_a_quota_is_counted_live(served_shim: ServedShim, namespace: str) -> None:
    """Refused beyond it, in the real words; what goes makes room; status.used tells."""
    hard = {"pods": "2", "requests.cpu": "1", "count/configmaps": "1"}
    quotas = f"{namespace}/resourcequotas"
    assert (
        served_shim.create(quotas, {"metadata": {"name": "q"}, "spec": {"hard": hard}}).code == 201
    )
    wait_until(lambda: _needs(served_shim, namespace), "the quota is in the copy")
    cpu = {"requests": {"cpu": "400m"}}
    for name in ("a", "b"):
        assert served_shim.create(f"{namespace}/pods", pod(name, cpu)).code == 201
    refused = served_shim.create(f"{namespace}/pods", pod("c", cpu))
    assert refused.code == 403
    assert refused.message == (
        'pods "c" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=400m, '
        "used: pods=2,requests.cpu=800m, limited: pods=2,requests.cpu=1"
    )
    used = served_shim.get(f"{quotas}/q").body["status"]["used"]
    assert used == {"pods": "2", "requests.cpu": "800m", "count/configmaps": "0"}
    assert served_shim.delete(f"{namespace}/pods/a").code == 200
    assert served_shim.create(f"{namespace}/pods", pod("c", cpu)).code == 201
    assert served_shim.create(f"{namespace}/configmaps", {"metadata": {"name": "1"}}).code == 201
    again = served_shim.create(f"{namespace}/configmaps", {"metadata": {"name": "2"}})
    assert again.code == 403
    assert "limited: count/configmaps=1" in again.message


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ["rich", "poor", "brief"]),
        ({"scopes": ["BestEffort"]}, ["poor", "brief"]),
        ({"scopes": ["NotBestEffort"]}, ["rich"]),
        ({"scopes": ["BestEffort", "NotTerminating"]}, ["poor"]),
        ({"scopes": ["Terminating"]}, ["brief"]),
        ({"scopeSelector": classes("In", ["high"])}, ["rich"]),
        ({"scopeSelector": classes("NotIn", ["high"])}, ["poor", "brief"]),
        ({"scopeSelector": classes("Exists")}, ["rich"]),
        ({"scopeSelector": classes("DoesNotExist")}, ["poor", "brief"]),
    ],
)
def test_a_quota_concerns_what_its_scopes_name(spec: Object, expected: list[str]) -> None:
    """All of them together; a quota with scopes is about pods alone."""
    pods = [
        pod("rich", {"requests": {"cpu": "1"}}, priorityClassName="high"),
        pod("poor"),
        pod("brief", activeDeadlineSeconds=5),
    ]
    quota = {"spec": spec}
    kinds = [Catalogue().find("", "v1", plural) for plural in ("pods", "secrets")]
    assert kinds[0] is not None
    assert kinds[1] is not None
    found = [each["metadata"]["name"] for each in pods if concerns(quota, kinds[0], each)]
    assert found == expected
    assert concerns(quota, kinds[1], {"metadata": {"name": "s"}}) == (not spec)


def test_what_a_quota_counts_goes_down_again(served_shim: ServedShim, namespace: str) -> None:
    """status.used follows deletes by a recount."""
    quotas = f"{namespace}/resourcequotas"
    body = {"metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "5"}}}
    assert served_shim.create(quotas, body).code == 201
    assert served_shim.create(f"{namespace}/configmaps", {"metadata": {"name": "c"}}).code == 201

    def used() -> str:
        served_shim.recount_quotas()
        found: str = served_shim.get(f"{quotas}/q").body.get("status", {}).get("used", {})
        return found.get("configmaps", "") if isinstance(found, dict) else ""

    wait_until(lambda: used() == "1" or None, "one is counted")
    assert served_shim.delete(f"{namespace}/configmaps/c").code == 200
    wait_until(lambda: used() == "0" or None, "none is counted")


def _needs(shim: ServedShim, namespace: str) -> bool | None:
    reply = shim.create(f"{namespace}/pods", pod(), dryRun="All")
    return "must specify requests.cpu for: c" in reply.message or None


def test_no_finalizer_is_added_to_what_goes(served_shim: ServedShim, namespace: str) -> None:
    """One may be taken, and the object goes with the last."""
    path = f"{namespace}/configmaps"
    body = {"metadata": {"name": "f", "finalizers": ["a.io/x", "a.io/y"]}}
    assert served_shim.create(path, body).code == 201
    served_shim.delete(f"{path}/f")
    more = {"metadata": {"finalizers": ["a.io/x", "a.io/z"]}}
    refused = served_shim.merge(f"{path}/f", more)
    assert refused.code == 422
    assert 'found new finalizers []string{"a.io/z"}' in refused.message
    assert served_shim.merge(f"{path}/f", {"metadata": {"finalizers": ["a.io/x"]}}).code == 200
    assert served_shim.merge(f"{path}/f", {"metadata": {"finalizers": None}}).code == 200
    assert served_shim.get(f"{path}/f").code == 404
