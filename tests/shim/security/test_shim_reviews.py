"""Reviews: `kubectl auth can-i`, `--list`, `whoami`, and what servers ask about their own users."""

from __future__ import annotations

import pytest

from tests.shim.security.guarded_shim import GuardedShim, Object
from tests.shim.security.test_shim_rbac import rule
from tests.shim.security.test_shim_tokens import account, token_of

AUTHORIZATION = "/apis/authorization.k8s.io/v1"
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"


def about(verb: str, resource: str, namespace: str = "default", **more: str) -> Object:
    return {
        "resourceAttributes": {"verb": verb, "resource": resource, "namespace": namespace, **more}
    }


async def allowed(guarded: GuardedShim, token: str, spec: Object, kind: str = "self") -> bool:
    plural = f"{kind}subjectaccessreviews"
    reply = await guarded.call(token, "POST", f"{AUTHORIZATION}/{plural}", {"spec": spec})
    assert reply.code == 201, reply.raw
    return bool(reply.body["status"]["allowed"])


async def test_can_i(guarded: GuardedShim) -> None:
    """Everybody may ask for himself, and gets the answer that a request would get."""
    await guarded.bind("alice", [rule("list", "pods"), rule("get", "pods/log")], "default")
    assert await allowed(guarded, "alice-token", about("list", "pods"))
    assert await allowed(guarded, "alice-token", about("get", "pods", subresource="log"))
    assert not await allowed(guarded, "alice-token", about("get", "pods"))
    assert not await allowed(guarded, "alice-token", about("list", "pods", ""))
    assert not await allowed(guarded, "alice-token", about("*", "*"))
    assert not await allowed(guarded, "bob-token", about("list", "pods"))
    assert await allowed(guarded, "admin-token", about("*", "*", "", group="*"))
    path = {"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}
    assert not await allowed(guarded, "alice-token", path)
    assert await allowed(guarded, "admin-token", path)


async def test_what_can_i_do(guarded: GuardedShim) -> None:
    """The list has what one holds in the namespace and everywhere, and nothing of others."""
    await guarded.bind("alice", [rule("list", "pods")], "default")
    path = f"{AUTHORIZATION}/selfsubjectrulesreviews"
    reply = await guarded.call("alice-token", "POST", path, {"spec": {"namespace": "default"}})
    status = reply.body["status"]
    assert {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]} in status["resourceRules"]
    assert status["incomplete"] is False
    assert any("/api" in each["nonResourceURLs"] for each in status["nonResourceRules"])
    other = await guarded.call("bob-token", "POST", path, {"spec": {"namespace": "default"}})
    assert not any("pods" in each["resources"] for each in other.body["status"]["resourceRules"])


async def test_asking_about_others_is_for_who_may(guarded: GuardedShim) -> None:
    """subjectaccessreviews, and the local kind in a namespace."""
    await guarded.bind("alice", [rule("list", "pods")], "default")
    spec = about("list", "pods") | {"user": "alice"}
    path = f"{AUTHORIZATION}/subjectaccessreviews"
    assert (await guarded.call("bob-token", "POST", path, {"spec": spec})).code == 403
    assert await allowed(guarded, "admin-token", spec, "")
    assert not await allowed(guarded, "admin-token", spec | {"user": "bob"}, "")
    assert await allowed(
        guarded, "admin-token", about("get", "x") | {"groups": ["system:masters"]}, ""
    )
    local = f"{AUTHORIZATION}/namespaces/default/localsubjectaccessreviews"
    reply = await guarded.call("admin-token", "POST", local, {"spec": spec})
    assert reply.body["status"]["allowed"] is True
    wrong = about("list", "pods", "other") | {"user": "alice"}
    assert (await guarded.call("admin-token", "POST", local, {"spec": wrong})).code == 422


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"user": "a"},
        about("get", "x"),
        about("get", "x") | {"user": "a", "nonResourceAttributes": {}},
    ],
)
async def test_a_question_that_is_none(guarded: GuardedShim, spec: Object) -> None:
    """Neither a resource nor a path, or both; or about nobody: 422."""
    path = f"{AUTHORIZATION}/subjectaccessreviews"
    assert (await guarded.call("admin-token", "POST", path, {"spec": spec})).code == 422


async def test_a_token_review(guarded: GuardedShim) -> None:
    """Tells who a token is of and for which audiences; a wrong one is an answer, not an error."""
    await account(guarded)
    token = await token_of(guarded, audiences=["vault", "other"])
    spec = {"token": token, "audiences": ["vault"]}
    reply = await guarded.call("admin-token", "POST", TOKEN_REVIEWS, {"spec": spec})
    status = reply.body["status"]
    assert status["authenticated"] is True
    assert status["audiences"] == ["vault"]
    assert status["user"]["username"] == "system:serviceaccount:default:robot"
    for bad in ({"token": token}, {"token": "x"}, {"token": token, "audiences": ["y"]}):
        reply = await guarded.call("admin-token", "POST", TOKEN_REVIEWS, {"spec": bad})
        assert (reply.code, reply.body["status"].get("authenticated")) == (201, None)
    assert (await guarded.call("alice-token", "POST", TOKEN_REVIEWS, {"spec": spec})).code == 403


async def test_reviews_are_not_stored(guarded: GuardedShim) -> None:
    """They can be made, and nothing else; discovery says so."""
    path = f"{AUTHORIZATION}/selfsubjectaccessreviews"
    assert (await guarded.call("admin-token", "GET", path)).code == 405
    found = await guarded.call("admin-token", "GET", AUTHORIZATION)
    assert {tuple(each["verbs"]) for each in found.body["resources"]} == {("create",)}
