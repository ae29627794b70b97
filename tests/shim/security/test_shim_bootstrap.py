"""Bootstrap: what every cluster has, made once by however many shims, and mended at each start."""

from __future__ import annotations

import asyncio

from apiserver_shim.bootstrap.reconciling import ClusterFacts, bootstrap, withdraw
from apiserver_shim.shim import make
from tests.e2e.cluster import Cluster
from tests.shim.security.guarded_shim import RBAC, GuardedShim, Object

PATCH = {"Content-Type": "application/merge-patch+json"}


async def names(guarded: GuardedShim, path: str) -> set[str]:
    reply = await guarded.call("admin-token", "GET", path)
    return {each["metadata"]["name"] for each in reply.body["items"]}


async def one(guarded: GuardedShim, path: str) -> Object:
    return (await guarded.call("admin-token", "GET", path)).body


async def test_what_every_cluster_has(guarded: GuardedShim) -> None:
    """Namespaces, roles for users and components, priorities, and whom other servers believe."""
    assert await names(guarded, "/api/v1/namespaces") == {
        "default",
        "kube-system",
        "kube-public",
        "kube-node-lease",
    }
    assert {
        "cluster-admin",
        "admin",
        "edit",
        "view",
        "system:discovery",
        "system:basic-user",
        "system:public-info-viewer",
        "system:kube-scheduler",
        "system:kube-controller-manager",
        "system:node",
        "system:node-proxier",
        "system:volume-scheduler",
    } <= await names(guarded, f"{RBAC}/clusterroles")
    priorities = await names(guarded, "/apis/scheduling.k8s.io/v1/priorityclasses")
    assert priorities == {"system-cluster-critical", "system-node-critical"}
    path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    assert (await one(guarded, path))["data"] == {}


async def test_shims_that_start_at_once_make_it_once(
    guarded: GuardedShim, security_store: Cluster
) -> None:
    """Ten at the same time, on an empty store, and again: nothing fails, and what one has made the
    others leave alone."""
    made = [make(security_store.endpoints, None, "x") for _ in range(3)]
    path = "/api/v1/namespaces/default/configmaps"
    facts = [ClusterFacts(f"10.0.0.{number}", 6443) for number in range(10)]
    shims = [guarded.shim, *(shim for shim, _ in made)]
    await asyncio.gather(*(bootstrap(shims[n % 4].parts, each) for n, each in enumerate(facts)))
    roles = f"{RBAC}/clusterroles"
    before = await one(guarded, roles)
    await asyncio.gather(*(bootstrap(shims[n % 4].parts, each) for n, each in enumerate(facts)))
    assert (await one(guarded, roles))["items"] == before["items"]
    endpoints = await one(guarded, "/api/v1/namespaces/default/endpoints/kubernetes")
    told = [each["ip"] for each in endpoints["subsets"][0]["addresses"]]
    assert told == [f"10.0.0.{number}" for number in range(10)]
    service = await one(guarded, "/api/v1/namespaces/default/services/kubernetes")
    assert service["spec"]["clusterIP"] == "10.96.0.1"
    await asyncio.gather(*(withdraw(guarded.shim.parts, each) for each in facts))
    endpoints = await one(guarded, "/api/v1/namespaces/default/endpoints/kubernetes")
    assert endpoints["subsets"] == []
    assert await names(guarded, path) == set()
    for _, client in made:
        await client.close()


async def test_roles_get_what_they_lack_and_keep_what_they_have(guarded: GuardedShim) -> None:
    """A rule taken away comes back at the next start, one that was added stays; with autoupdate
    false nothing is touched; a subject taken away comes back, one added stays."""
    discovery, basic = (
        f"{RBAC}/clusterroles/system:discovery",
        f"{RBAC}/clusterroles/system:basic-user",
    )
    extra = {"verbs": ["get"], "nonResourceURLs": ["/mine"]}
    await guarded.call("admin-token", "PATCH", discovery, {"rules": [extra]}, headers=PATCH)
    annotations = {"rbac.authorization.kubernetes.io/autoupdate": "false"}
    alone = {"metadata": {"annotations": annotations}, "rules": []}
    await guarded.call("admin-token", "PATCH", basic, alone, headers=PATCH)
    binding = f"{RBAC}/clusterrolebindings/system:discovery"
    subjects = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "x"}]
    await guarded.call("admin-token", "PATCH", binding, {"subjects": subjects}, headers=PATCH)
    await guarded.shim.bootstrap()
    mended = (await one(guarded, discovery))["rules"]
    assert mended[0] == extra
    assert any("/api" in each["nonResourceURLs"] for each in mended[1:])
    assert not (await one(guarded, basic)).get("rules")
    found = {each["name"] for each in (await one(guarded, binding))["subjects"]}
    assert found == {"x", "system:authenticated"}


async def test_the_usual_roles_allow_the_usual(guarded: GuardedShim) -> None:
    """view sees no secrets and writes nothing, edit writes but makes no roles, admin makes roles
    and leaves quotas of the namespace alone."""
    await guarded.namespace("t")
    allowed = {
        ("view", "list", "pods"),
        ("edit", "list", "pods"),
        ("edit", "list", "secrets"),
        ("edit", "create", "pods"),
        ("admin", "list", "pods"),
        ("admin", "list", "secrets"),
        ("admin", "create", "pods"),
        ("admin", "create", "roles"),
    }
    for role in ("view", "edit", "admin"):
        subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": f"a-{role}"}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        body = {"metadata": {"name": role}, "roleRef": reference, "subjects": [subject]}
        await guarded.make(f"{RBAC}/namespaces/t/rolebindings", body)
    await guarded.caught_up()
    for role in ("view", "edit", "admin"):
        for verb in ("list", "create"):
            for resource in ("pods", "secrets", "roles", "resourcequotas"):
                if (verb, resource) == ("create", "secrets") or (verb, resource) == (
                    "list",
                    "roles",
                ):
                    continue
                if resource == "resourcequotas" and verb == "list":
                    continue
                group = "rbac.authorization.k8s.io" if resource == "roles" else ""
                about = {"verb": verb, "resource": resource, "namespace": "t", "group": group}
                spec = {"user": f"a-{role}", "resourceAttributes": about}
                path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
                reply = await guarded.call("admin-token", "POST", path, {"spec": spec})
                wanted = (role, verb, resource) in allowed
                assert reply.body["status"]["allowed"] is wanted, (role, verb, resource)
