"""Credentials: static tokens, service accounts, certificates, nobody, and acting for others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from apiserver_shim.api.status import ApiError
from apiserver_shim.security.authentication import Authenticator, StaticTokens
from apiserver_shim.security.door import OpenDoor
from apiserver_shim.security.service_accounts import (
    DEFAULT_ISSUER,
    BadToken,
    ServiceAccountTokens,
    TokenKeys,
)
from tests.shim.security.guarded_shim import GuardedShim, Object
from tests.shim.security.test_shim_rbac import rule

SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"


async def account(guarded: GuardedShim, name: str = "robot") -> Object:
    return await guarded.make(ACCOUNTS, {"metadata": {"name": name}})


async def token_of(guarded: GuardedShim, name: str = "robot", **spec: object) -> str:
    request = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec}
    reply = await guarded.make(f"{ACCOUNTS}/{name}/token", request)
    return str(reply["status"]["token"])


async def who(guarded: GuardedShim, token: str, **headers: str) -> tuple[int, Object]:
    reply = await guarded.call(token, "POST", SELF, {}, headers=headers)
    return reply.code, reply.body.get("status", {}) if reply.code == 201 else reply.body


def test_a_token_file_names_users() -> None:
    """token,user,uid and groups in quotes; a line that is none is named by its number."""
    tokens = StaticTokens('# who\nt1,alice,7,"a,b"\n\nt2,bob,8\n')
    alice, bob = tokens.find("t1"), tokens.find("t2")
    assert alice is not None
    assert (alice.name, alice.uid, alice.groups) == ("alice", "7", ("a", "b"))
    assert bob is not None
    assert bob.groups == ()
    assert tokens.find("t3") is None
    with pytest.raises(ValueError, match="line 2"):
        StaticTokens("t1,alice,7\nbroken\n")


async def test_wrong_credentials_are_refused_and_none_are_nobody(guarded: GuardedShim) -> None:
    """A token that nobody knows is 401 with a Status everywhere, even where nobody may read;
    without one there is health and version and nothing more."""
    for path in ("/version", "/api", "/api/v1/pods", "/nothing"):
        reply = await guarded.call("nonsense", "GET", path)
        assert (reply.code, reply.body["reason"], reply.body["kind"]) == (
            401,
            "Unauthorized",
            "Status",
        )
    for path in ("/version", "/healthz", "/livez", "/readyz", "/livez/ping"):
        assert (await guarded.call("", "GET", path)).code == 200, path
    for path in (
        "/api",
        "/apis",
        "/api/v1",
        "/openapi/v2",
        "/openapi/v3",
        "/metrics",
        "/api/v1/pods",
        "/apis/no.such/v1/things",
        "/nothing",
    ):
        assert (await guarded.call("", "GET", path)).code == 403, path
    for path in ("/api", "/apis", "/api/v1", "/openapi/v3"):
        assert (await guarded.call("alice-token", "GET", path)).code == 200, path


async def test_a_service_account_is_its_token_s_user(guarded: GuardedShim) -> None:
    """Name, groups and uid are the account's; the claims are Kubernetes' own."""
    made = await account(guarded)
    token = await token_of(guarded, expirationSeconds=600)
    code, status = await who(guarded, token)
    user = status["userInfo"]
    assert code == 201
    assert user["username"] == "system:serviceaccount:default:robot"
    assert user["uid"] == made["metadata"]["uid"]
    assert user["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:default",
        "system:authenticated",
    ]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["iss"] == DEFAULT_ISSUER
    assert claims["aud"] == [DEFAULT_ISSUER]
    assert claims["exp"] - claims["iat"] == 600
    assert claims["kubernetes.io"] == {
        "namespace": "default",
        "serviceaccount": {"name": "robot", "uid": made["metadata"]["uid"]},
    }


async def test_a_token_dies_with_what_it_is_bound_to(guarded: GuardedShim) -> None:
    """With its account, also when that is made anew; with its pod; and it is no token for others'
    audiences."""
    await account(guarded)
    pods = "/api/v1/namespaces/default/pods"
    spec = {"serviceAccountName": "robot", "containers": [{"name": "c", "image": "i"}]}
    await guarded.make(pods, {"metadata": {"name": "p"}, "spec": spec})
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
    free, bound = await token_of(guarded), await token_of(guarded, boundObjectRef=reference)
    foreign = await token_of(guarded, audiences=["vault"])
    assert (await who(guarded, foreign))[0] == 401
    code, status = await who(guarded, bound)
    assert code == 201
    assert status["userInfo"]["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
    await guarded.call("admin-token", "DELETE", f"{pods}/p", {"gracePeriodSeconds": 0})
    await guarded.caught_up()
    assert (await who(guarded, bound))[0] == 401
    assert (await who(guarded, free))[0] == 201
    await guarded.call("admin-token", "DELETE", f"{ACCOUNTS}/robot")
    await guarded.caught_up()
    assert (await who(guarded, free))[0] == 401
    await account(guarded)
    await guarded.caught_up()
    assert (await who(guarded, free))[0] == 401


async def test_what_may_be_asked_of_a_token(guarded: GuardedShim) -> None:
    """From ten minutes to a year; an account and a pod that are there, and a pod of that
    account."""
    path = f"{ACCOUNTS}/robot/token"
    assert (await guarded.call("admin-token", "POST", path, {})).code == 404
    await account(guarded)
    spec = {"containers": [{"name": "c", "image": "i"}]}
    await guarded.make("/api/v1/namespaces/default/pods", {"metadata": {"name": "p"}, "spec": spec})
    short = await guarded.call("admin-token", "POST", path, {"spec": {"expirationSeconds": 10}})
    assert (short.code, "may not specify a duration less than 10 minutes" in short.message) == (
        422,
        True,
    )
    for reference, code in (
        ({"kind": "Pod", "name": "missing"}, 404),
        ({"kind": "Pod", "name": "p"}, 400),
        ({"kind": "Deployment", "name": "p"}, 400),
        ({"kind": "Secret", "name": "missing"}, 404),
    ):
        body = {"spec": {"boundObjectRef": reference}}
        assert (await guarded.call("admin-token", "POST", path, body)).code == code, reference
    assert (await guarded.call("alice-token", "POST", path, {})).code == 403
    long = await guarded.call("admin-token", "POST", path, {"spec": {"expirationSeconds": 1 << 32}})
    token = jwt.decode(long.body["status"]["token"], options={"verify_signature": False})
    assert token["exp"] - token["iat"] == 365 * 24 * 3600


async def test_only_tokens_signed_by_our_keys_are_believed(guarded: GuardedShim) -> None:
    """Not one of another key, without a signature, of another issuer, or signed with the public
    key as if that were a password."""
    made = await account(guarded)
    genuine = await token_of(guarded)
    claims = jwt.decode(genuine, options={"verify_signature": False})
    public = guarded.shim.parts.security.tokens._keys.public[0].key
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    other = ec.generate_private_key(ec.SECP256R1())
    header, payload, signature = genuine.split(".")
    forged = [
        jwt.encode(claims, other, "ES256"),
        jwt.encode(claims, None, "none"),
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        jwt.utils.base64url_encode(b'{"alg":"HS256","typ":"JWT"}').decode()
        + f".{payload}.{signature}",
    ]
    for token in forged:
        assert (await who(guarded, token))[0] == 401, token
    assert pem.startswith(b"-----BEGIN PUBLIC KEY")
    with pytest.raises(jwt.InvalidKeyError):
        jwt.encode(claims, pem, "HS256")
    assert made["metadata"]["uid"] == claims["kubernetes.io"]["serviceaccount"]["uid"]
    assert (await who(guarded, genuine))[0] == 201


@pytest.mark.parametrize("kind", ["rsa", "ec"])
async def test_a_token_ends_by_the_clock_and_both_kinds_of_keys_sign(
    guarded: GuardedShim, kind: str
) -> None:
    """RS256 and ES256; good up to its exp, by the clock that is passed in."""
    made = await account(guarded)
    if kind == "rsa":
        key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = rsa.generate_private_key(65537, 2048)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    keys = TokenKeys.load(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    now = [datetime(2030, 1, 1, tzinfo=UTC)]
    parts = guarded.shim.parts
    tokens = ServiceAccountTokens(keys, parts.mirror, parts.registry, lambda: now[0])
    token = tokens.sign(made, ["a"], 600, None)
    assert jwt.get_unverified_header(token)["alg"] == {"rsa": "RS256", "ec": "ES256"}[kind]
    await guarded.caught_up()
    assert (await tokens.user_of(token, ["b", "a"]))[1] == ["a"]
    now[0] += timedelta(seconds=600)
    with pytest.raises(BadToken, match="expired"):
        await tokens.user_of(token, ["a"])


async def test_a_certificate_s_subject_is_the_user(guarded: GuardedShim) -> None:
    """CN and each O; past its end it is no credential, however old the connection."""
    parts = guarded.shim.parts
    now = [datetime(2030, 1, 1, tzinfo=UTC)]
    door = Authenticator(parts.security.tokens, lambda: now[0], anonymous=False)
    certificate = {
        "subject": (
            (("organizationName", "devs"),),
            (("organizationName", "ops"),),
            (("commonName", "carol"),),
        ),
        "notAfter": "Jan  2 00:00:00 2030 GMT",
    }
    user = await door.identify(certificate, "")
    assert (user.name, user.groups) == ("carol", ("devs", "ops", "system:authenticated"))
    now[0] += timedelta(days=2)
    for shown in (certificate, None, {**certificate, "subject": ()}):
        with pytest.raises(ApiError) as refusal:
            await door.identify(shown, "")
        assert refusal.value.code == 401


async def test_to_act_as_another_needs_the_verb_impersonate(guarded: GuardedShim) -> None:
    """For the user, and for every group, uid and extra that is named; and then one has the other's
    rights, not one's own."""
    code, status = await who(guarded, "alice-token", **{"Impersonate-User": "bob"})
    assert code == 403
    assert status["message"] == (
        'users "bob" is forbidden: User "alice" cannot impersonate resource "users" in API group '
        '"" at the cluster scope'
    )
    await guarded.bind("alice", [rule("impersonate", "users", names="bob"), rule("list", "nodes")])
    code, status = await who(guarded, "alice-token", **{"Impersonate-User": "bob"})
    assert (code, status["userInfo"]["username"]) == (201, "bob")
    assert status["userInfo"]["groups"] == ["system:authenticated"]
    for headers in (
        {"Impersonate-User": "admin"},
        {"Impersonate-User": "bob", "Impersonate-Group": "system:masters"},
        {"Impersonate-User": "bob", "Impersonate-Uid": "1"},
        {"Impersonate-User": "bob", "Impersonate-Extra-Scopes": "x"},
        {"Impersonate-User": "system:serviceaccount:default:robot"},
    ):
        assert (await who(guarded, "alice-token", **headers))[0] == 403, headers
    assert (await who(guarded, "alice-token", **{"Impersonate-Group": "devs"}))[0] == 400
    assert await guarded.has("alice-token", "/api/v1/nodes")
    acting = await guarded.call(
        "alice-token", "GET", "/api/v1/nodes", headers={"Impersonate-User": "bob"}
    )
    assert acting.code == 403
    robot = {
        "Impersonate-User": "system:serviceaccount:default:robot",
        "Impersonate-Extra-A%2Fb": "x",
    }
    code, status = await who(guarded, "admin-token", **robot)
    assert status["userInfo"]["groups"][0] == "system:serviceaccounts"
    assert status["userInfo"]["extra"] == {"a/b": ["x"]}
    nobody = await guarded.call(
        "admin-token", "GET", "/api", headers={"Impersonate-User": "system:anonymous"}
    )
    assert nobody.code == 403


async def test_a_kubelet_gets_tokens_for_its_pods_only(guarded: GuardedShim) -> None:
    """Of an account that a pod on its node runs as, and bound to that pod."""
    for name in ("robot", "other"):
        await account(guarded, name)
    await guarded.make("/api/v1/nodes", {"metadata": {"name": "n1"}})
    for name, node in (("p", "n1"), ("q", "n2")):
        spec = {
            "nodeName": node,
            "serviceAccountName": "robot" if name == "p" else "other",
            "containers": [{"name": "c", "image": "i"}],
        }
        body = {"metadata": {"name": name}, "spec": spec}
        await guarded.make("/api/v1/namespaces/default/pods", body)
    await guarded.caught_up()
    for name, reference, code in (
        ("robot", {"kind": "Pod", "name": "p"}, 201),
        ("robot", None, 403),
        ("other", {"kind": "Pod", "name": "q"}, 403),
        ("robot", {"kind": "Pod", "name": "q"}, 400),
    ):
        spec = {"boundObjectRef": reference} if reference else {}
        path = f"{ACCOUNTS}/{name}/token"
        reply = await guarded.call("node-token", "POST", path, {"spec": spec})
        assert reply.code == code, (name, reference, reply.raw)


async def test_the_open_door_is_for_loopback_and_for_oneself(guarded: GuardedShim) -> None:
    """Everybody is admin there: not a web page that has its name point at 127.0.0.1, and not one
    who believes to act as another."""
    runner = web.AppRunner(guarded.shim.server_behind(OpenDoor()).app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1/secrets"
    for headers, code in (
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "evil.example:8080"}, 403),
        ({"Impersonate-User": "bob"}, 403),
    ):
        async with guarded.session.get(url, headers=headers) as reply:
            assert reply.status == code, headers
    await runner.cleanup()
