"""RBAC: what rules allow, who holds them, and that nothing else lets anybody at an object."""

from __future__ import annotations

import base64
import json

import pytest

from apiserver_shim.api.user import User
from apiserver_shim.security.attributes import Attributes
from apiserver_shim.security.rules import Rule, uncovered
from tests.shim.security.guarded_shim import RBAC, GuardedShim, Object

GROUP = "rbac.authorization.k8s.io"
SECRET_BYTES = b"aHVudGVyMg=="
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
PARTIAL = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}

THEIRS = "/api/v1/namespaces/theirs/secrets"
PATCH = {"Content-Type": "application/merge-patch+json"}
WALKS: list[tuple[str, str, dict[str, str]]] = [
    *(("GET", f"{THEIRS}/s{query}", {}) for query in ("", "?resourceVersion=0", "?watch=1")),
    *(
        ("GET", f"{path}{query}", form)
        for path in (THEIRS, "/api/v1/secrets", "/api/v1/watch/secrets")
        for query in (
            "",
            "?watch=1",
            "?watch=true&resourceVersion=0",
            "?limit=1",
            "?labelSelector=a%3Db",
            "?fieldSelector=metadata.namespace%3Dtheirs",
            "?resourceVersion=0",
            "?sendInitialEvents=true&watch=1&resourceVersionMatch=NotOlderThan",
        )
        for form in ({}, TABLE, PARTIAL)
    ),
    *(
        ("GET", path, {})
        for path in (
            "/api/v1/namespaces/own/secrets/../../theirs/secrets/s",
            "/api/v1/namespaces/own/secrets/%2e%2e%2f%2e%2e%2ftheirs%2fsecrets%2fs",
            "/api/v1/namespaces/own%2f..%2ftheirs/secrets/s",
            "/api/v1/namespaces/own/secrets/theirs%2fs",
            "/api/v1//namespaces/theirs//secrets/s",
            "/api/v1/namespaces/theirs/secrets/s/",
            "/api/v1/namespaces/theirs/secrets/s/status",
            "/api/v1/namespaces/theirs/secrets/s/log",
            "/api/v1/secrets/s",
        )
    ),
    ("HEAD", f"{THEIRS}/s", {}),
    ("POST", THEIRS, {}),
    ("PUT", f"{THEIRS}/s", {}),
    ("PATCH", f"{THEIRS}/s", PATCH),
    ("DELETE", f"{THEIRS}/s", {}),
    ("DELETE", THEIRS, {}),
    ("DELETE", "/api/v1/secrets", {}),
    ("DELETE", f"{THEIRS}?dryRun=All", {}),
]
"""Every verb, subresource, form and spelling of a path: method, path, headers."""


def rule(verbs: str, resources: str, groups: str = "", names: str = "") -> Object:
    made: Object = {
        "verbs": verbs.split(),
        "resources": resources.split(),
        "apiGroups": groups.split() or [""],
    }
    return made | ({"resourceNames": names.split()} if names else {})


def asked(verb: str, combined: str, group: str = "", name: str = "") -> Attributes:
    resource, _, subresource = combined.partition("/")
    return Attributes(User("u"), verb, group, resource, subresource, "ns", name)


@pytest.mark.parametrize(
    ("given", "question", "allowed"),
    [
        (rule("get", "pods"), asked("get", "pods"), True),
        (rule("get", "pods"), asked("list", "pods"), False),
        (rule("get", "pods"), asked("get", "pods", "apps"), False),
        (rule("get", "pods"), asked("get", "pods/log"), False),
        (rule("get", "pods/log"), asked("get", "pods/log"), True),
        (rule("get", "pods/log"), asked("get", "pods"), False),
        (rule("get", "*/log"), asked("get", "pods/log"), True),
        (rule("get", "*/log"), asked("get", "pods"), False),
        (rule("*", "*", "*"), asked("escalate", "roles", GROUP), True),
        (rule("get", "secrets", names="a b"), asked("get", "secrets", name="b"), True),
        (rule("get", "secrets", names="a b"), asked("get", "secrets", name="c"), False),
        (rule("list", "secrets", names="a"), asked("list", "secrets"), False),
        (rule("get", ""), asked("get", "pods"), False),
    ],
)
def test_a_rule_allows_what_it_names(given: Object, question: Attributes, allowed: bool) -> None:
    """Verbs, groups, resources, subresources and names, each with its star."""
    assert Rule.parse(given).allows(question) is allowed


@pytest.mark.parametrize(
    ("url", "path", "allowed"),
    [
        ("/healthz", "/healthz", True),
        ("/healthz", "/healthz/ping", False),
        ("/healthz/*", "/healthz/ping", True),
        ("*", "/metrics", True),
        ("/api*", "/apis", True),
    ],
)
def test_a_url_may_end_in_a_star(url: str, path: str, allowed: bool) -> None:
    """Paths that are no resources are allowed by rules with nonResourceURLs only."""
    question = Attributes(User("u"), "get", path=path)
    assert Rule.parse({"verbs": ["get"], "nonResourceURLs": [url]}).allows(question) is allowed
    assert not Rule.parse(rule("*", "*", "*")).allows(question)


@pytest.mark.parametrize(
    ("own", "wanted", "missing"),
    [
        ([rule("get list", "pods")], rule("get", "pods"), 0),
        ([rule("get", "pods"), rule("list", "pods")], rule("get list", "pods"), 0),
        ([rule("get", "pods")], rule("*", "pods"), 1),
        ([rule("get", "pods", names="a")], rule("get", "pods"), 1),
        ([rule("get", "pods")], rule("get", "pods", names="a b"), 0),
        ([rule("get", "pods", names="a")], rule("get", "pods", names="a b"), 1),
        ([rule("*", "*", "*")], rule("*", "*", "*"), 0),
        ([rule("get", "pods")], {"verbs": ["get"], "nonResourceURLs": ["/metrics"]}, 1),
        (
            [{"verbs": ["get"], "nonResourceURLs": ["/a/*"]}],
            {"verbs": ["get"], "nonResourceURLs": ["/a/b"]},
            0,
        ),
    ],
)
def test_rules_cover_rules(own: list[Object], wanted: Object, missing: int) -> None:
    """Whoever grants must hold it: each verb on each thing is covered by some rule."""
    found = uncovered([Rule.parse(each) for each in own], [Rule.parse(wanted)])
    assert len(found) == missing


async def test_without_a_role_nothing_is_allowed(guarded: GuardedShim) -> None:
    """The refusal's code, reason, details and words are a real apiserver's."""
    reply = await guarded.call("alice-token", "GET", "/api/v1/namespaces/y/pods")
    assert (reply.code, reply.body["reason"]) == (403, "Forbidden")
    assert reply.body["details"] == {"kind": "pods"}
    assert reply.message == (
        'pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the '
        'namespace "y"'
    )
    one = await guarded.call("alice-token", "GET", "/apis/apps/v1/namespaces/y/deployments/d/scale")
    assert one.message == (
        'deployments.apps "d" is forbidden: User "alice" cannot get resource '
        '"deployments/scale" in API group "apps" in the namespace "y"'
    )
    everywhere = await guarded.call("alice-token", "GET", "/api/v1/nodes")
    assert everywhere.message.endswith(
        'cannot list resource "nodes" in API group "" at the cluster scope'
    )
    path = await guarded.call("alice-token", "GET", "/metrics")
    assert path.message == 'forbidden: User "alice" cannot get path "/metrics"'


async def test_a_role_holds_in_its_namespace_only(guarded: GuardedShim) -> None:
    """A RoleBinding lets its user at one namespace; taking it away ends that at once."""
    for name in ("one", "two"):
        await guarded.namespace(name)
    await guarded.bind("alice", [rule("get list watch", "pods")], "one")
    assert await guarded.has("alice-token", "/api/v1/namespaces/one/pods")
    assert not await guarded.has("alice-token", "/api/v1/namespaces/two/pods")
    assert not await guarded.has("alice-token", "/api/v1/pods")
    assert not await guarded.has("bob-token", "/api/v1/namespaces/one/pods")
    path = f"{RBAC}/namespaces/one/rolebindings/alice-role"
    await guarded.call("admin-token", "DELETE", path)
    await guarded.caught_up()
    assert not await guarded.has("alice-token", "/api/v1/namespaces/one/pods")


async def test_a_group_a_cluster_role_and_aggregation(guarded: GuardedShim) -> None:
    """alice is one of devs; devs hold a role that is the sum of those with a label."""
    total = {
        "metadata": {"name": "total"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"sum": "yes"}}]},
    }
    part = {
        "metadata": {"name": "part", "labels": {"sum": "yes"}},
        "rules": [rule("list", "nodes")],
    }
    binding = {
        "metadata": {"name": "devs"},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "total"},
        "subjects": [{"kind": "Group", "apiGroup": GROUP, "name": "devs"}],
    }
    await guarded.make(f"{RBAC}/clusterroles", total)
    await guarded.make(f"{RBAC}/clusterrolebindings", binding)
    await guarded.caught_up()
    assert not await guarded.has("alice-token", "/api/v1/nodes")
    await guarded.make(f"{RBAC}/clusterroles", part)
    await guarded.caught_up()
    assert await guarded.has("alice-token", "/api/v1/nodes")
    assert not await guarded.has("bob-token", "/api/v1/nodes")


async def test_a_named_object_may_be_listed_by_its_name(guarded: GuardedShim) -> None:
    """resourceNames allow list and watch with the field selector that asks for that name."""
    await guarded.bind("alice", [rule("get list watch", "secrets", names="mine")], "default")
    secrets = "/api/v1/namespaces/default/secrets"
    for name in ("mine", "other"):
        await guarded.make(secrets, {"metadata": {"name": name}})
    mine = await guarded.call("alice-token", "GET", f"{secrets}?fieldSelector=metadata.name=mine")
    assert [each["metadata"]["name"] for each in mine.body["items"]] == ["mine"]
    for query in (
        "",
        "?fieldSelector=metadata.name=other",
        "?fieldSelector=metadata.name!=mine",
        "?fieldSelector=type=Opaque",
        "?fieldSelector=metadata.name=another,metadata.name=mine",
    ):
        assert (await guarded.call("alice-token", "GET", secrets + query)).code == 403, query
    both = f"{secrets}?fieldSelector=metadata.name=mine,metadata.name=other"
    assert (await guarded.call("alice-token", "GET", both)).body["items"] == []


async def test_no_request_reaches_anothers_secrets(guarded: GuardedShim) -> None:
    """A user of one namespace, with all verbs there and on everything but secrets elsewhere, walks
    every verb, subresource, form and spelling of a path; none gives the secret or changes it."""
    await guarded.namespace("own")
    await guarded.namespace("theirs")
    await guarded.bind("alice", [rule("*", "*", "*")], "own")
    await guarded.bind("bob", [rule("*", "pods configmaps namespaces", "*")])
    body = {"metadata": {"name": "s", "labels": {"a": "b"}}, "data": {"key": SECRET_BYTES.decode()}}
    before = await guarded.make(THEIRS, body)
    for token in ("alice-token", "bob-token", ""):
        for method, path, headers in WALKS:
            sent = body if method in ("POST", "PUT", "PATCH") else None
            reply = await guarded.call(token, method, path, sent, headers=headers)
            assert reply.code in (403, 404, 405, 400), (token, method, path, reply.code)
            assert SECRET_BYTES not in reply.raw, (token, method, path)
    token = (
        await guarded.call("alice-token", "GET", "/api/v1/namespaces/own/secrets?limit=1")
    ).body
    assert token["items"] == []
    start = {"v": "meta.k8s.io/v1", "rv": -1, "start": "../theirs/"}
    page = base64.urlsafe_b64encode(json.dumps(start).encode()).decode().rstrip("=")
    crafted = f"/api/v1/namespaces/own/secrets?limit=5&continue={page}"
    assert SECRET_BYTES not in (await guarded.call("alice-token", "GET", crafted)).raw
    after = await guarded.call("admin-token", "GET", f"{THEIRS}/s")
    assert after.body["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_who_makes_roles_cannot_make_more_than_he_has(guarded: GuardedShim) -> None:
    """Create, update and patch of a role with rules its author lacks are refused, what he holds is
    not; the verb escalate lifts that."""
    own = [rule("get create update patch", "roles", GROUP), rule("get list", "pods")]
    await guarded.bind("alice", own, "default")
    roles = f"{RBAC}/namespaces/default/roles"
    less = {"metadata": {"name": "less"}, "rules": [rule("get", "pods")]}
    more = {"metadata": {"name": "more"}, "rules": [rule("get", "secrets")]}
    assert (await guarded.call("alice-token", "POST", roles, less)).code == 201
    refusal = await guarded.call("alice-token", "POST", roles, more)
    assert refusal.code == 403
    assert "is attempting to grant RBAC permissions not currently held" in refusal.message
    patched = await guarded.call(
        "alice-token",
        "PATCH",
        f"{roles}/less",
        {"rules": more["rules"]},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert patched.code == 403
    labelled = await guarded.call(
        "alice-token",
        "PATCH",
        f"{roles}/less",
        {"metadata": {"labels": {"x": "y"}}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert labelled.code == 200
    await guarded.bind("bob", [rule("create escalate", "roles", GROUP)], "default")
    assert (await guarded.call("bob-token", "POST", roles, more)).code == 201


async def test_who_binds_roles_cannot_bind_more_than_he_has(guarded: GuardedShim) -> None:
    """Not a role with more rules, not one that is not there; the verb bind lifts that; a roleRef
    never changes."""
    await guarded.bind("alice", [rule("*", "rolebindings", GROUP)], "default")
    await guarded.bind(
        "bob",
        [rule("*", "rolebindings", GROUP), rule("bind", "clusterroles", GROUP, "view")],
        "default",
    )
    bindings = f"{RBAC}/namespaces/default/rolebindings"

    def binding(name: str, role: str) -> Object:
        return {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "apiGroup": GROUP, "name": "alice"}],
        }

    for role in ("view", "cluster-admin", "missing"):
        assert (await guarded.call("alice-token", "POST", bindings, binding("a", role))).code == 403
    assert (await guarded.call("bob-token", "POST", bindings, binding("b", "view"))).code == 201
    assert (await guarded.call("bob-token", "POST", bindings, binding("c", "edit"))).code == 403
    changed = await guarded.call("admin-token", "PUT", f"{bindings}/b", binding("b", "edit"))
    assert (changed.code, "cannot change roleRef" in changed.message) == (422, True)


async def test_an_aggregated_role_is_for_who_holds_everything(guarded: GuardedShim) -> None:
    """Its rules would grow without its author being asked again."""
    await guarded.bind("alice", [rule("*", "clusterroles", GROUP)])
    role = {
        "metadata": {"name": "sum"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"x": "y"}}]},
    }
    # The star of clusterroles holds the verb escalate; so take it away first.
    verbs = rule("create update", "clusterroles", GROUP)
    await guarded.call(
        "admin-token",
        "PUT",
        f"{RBAC}/clusterroles/alice-role",
        {"metadata": {"name": "alice-role"}, "rules": [verbs]},
    )
    await guarded.caught_up()
    refusal = await guarded.call("alice-token", "POST", f"{RBAC}/clusterroles", role)
    assert (refusal.code, "cluster-admin privileges" in refusal.message) == (403, True)


async def test_an_update_that_creates_needs_create(guarded: GuardedShim) -> None:
    """A PUT of a lease that is not there makes it, for those only who may create one."""
    await guarded.bind("alice", [rule("update get", "leases", "coordination.k8s.io")], "default")
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l"
    reply = await guarded.call("alice-token", "PUT", path, {"metadata": {"name": "l"}, "spec": {}})
    assert (reply.code, "cannot create resource" in reply.message) == (403, True)
    assert (await guarded.call("admin-token", "GET", path)).code == 404


async def test_a_kubelet_reads_what_its_pods_need(guarded: GuardedShim) -> None:
    """The secret of a pod on its node, not another; its own node's status, not another's."""
    pods, secrets = "/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/secrets"
    for name in ("used", "unused"):
        await guarded.make(secrets, {"metadata": {"name": name}})
    volume = {"name": "v", "secret": {"secretName": "used"}}
    container = {"name": "c", "image": "i"}
    for node in ("n1", "n2"):
        spec = {
            "nodeName": node,
            "containers": [container],
            "volumes": [volume] if node == "n1" else [],
        }
        await guarded.make(pods, {"metadata": {"name": f"on-{node}"}, "spec": spec})
        await guarded.make("/api/v1/nodes", {"metadata": {"name": node}})
    await guarded.caught_up()
    assert await guarded.has("node-token", f"{secrets}/used")
    assert await guarded.has("node-token", pods)
    for path in (f"{secrets}/unused", secrets, "/api/v1/secrets"):
        assert (await guarded.call("node-token", "GET", path)).code == 403
    patch = {"Content-Type": "application/merge-patch+json"}
    phase = {"status": {"phase": "Running"}}
    for node, code in (("n1", 200), ("n2", 403)):
        reply = await guarded.call(
            "node-token", "PATCH", f"{pods}/on-{node}/status", phase, headers=patch
        )
        assert reply.code == code, reply.raw
        path = f"/api/v1/nodes/{node}/status"
        assert (
            await guarded.call("node-token", "PATCH", path, {"status": {}}, headers=patch)
        ).code == code
        reply = await guarded.call(
            "node-token", "DELETE", f"{pods}/on-{node}", {"gracePeriodSeconds": 0}
        )
        assert reply.code == code
    own = {"metadata": {"name": "made"}, "spec": {"nodeName": "n1", "containers": [container]}}
    assert (await guarded.call("node-token", "POST", pods, own)).code == 403
    own["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "hash"}
    assert (await guarded.call("node-token", "POST", pods, own)).code == 201
    assert (
        await guarded.call("node-token", "POST", "/api/v1/nodes", {"metadata": {"name": "n3"}})
    ).code == 403


async def test_while_the_copy_is_made_anew_the_last_roles_hold(guarded: GuardedShim) -> None:
    """Probes and version are answered, and nobody has more than before: who may write is told to
    come again, since the rules of the write need the copy; who may not is refused as ever."""
    await guarded.bind("alice", [rule("create", "configmaps")], "default")
    configmaps = "/api/v1/namespaces/default/configmaps"
    assert (
        await guarded.call("alice-token", "POST", configmaps, {"metadata": {"name": "a"}})
    ).code == 201
    await guarded.caught_up()
    guarded.shim.parts.mirror.revision = 0
    assert (await guarded.call("", "GET", "/livez")).code == 200
    assert (await guarded.call("", "GET", "/readyz")).code == 500
    assert (
        await guarded.call("alice-token", "POST", configmaps, {"metadata": {"name": "b"}})
    ).code == 503
    assert (await guarded.call("alice-token", "GET", configmaps)).code == 403
    assert (await guarded.call("bob-token", "GET", configmaps)).code == 403
