"""serviceaccounts/token: a TokenRequest is answered with a signed token.

Owns: what may be asked of a token. Must never do: sign for an account, or an object, that is not
there; store the token.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apiserver_shim.api.answer import ObjectAnswer
from apiserver_shim.api.metadata import timestamp
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.status import (
    Cause,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
)
from apiserver_shim.parts import Parts
from apiserver_shim.resources.resource import Resource
from apiserver_shim.security.node_authorizer import node_of
from apiserver_shim.security.service_accounts import Binding
from apiserver_shim.verbs.decoding import decode
from apiserver_shim.verbs.writing import is_dry_run

KIND = Resource("authentication.k8s.io", "v1", "tokenrequests", "TokenRequest")
LIFETIME_S = 3600
LIFETIME_S_MIN, LIFETIME_S_MAX = 600, 1 << 32
LIFETIME_S_GIVEN_MAX = 365 * 24 * 3600
"""Longer ones are asked for, and get this."""
_BOUND = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


async def request_token(parts: Parts, request: ApiRequest, target: Target) -> ObjectAnswer:
    """Raises 404 for the account, 422 for the request, 409 for an object that is another one."""
    obj = decode(request)
    wanted = {"kind": KIND.kind, "apiVersion": KIND.api_version}
    if {key: obj.setdefault(key, value) for key, value in wanted.items()} != wanted:
        raise bad_request(f"expected a {KIND.kind} of {KIND.api_version}")
    spec = obj.get("spec") or {}
    lifetime_s = _lifetime_s(spec, target.name)
    audiences = spec.get("audiences") or parts.security.authenticator.audiences
    if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
        raise bad_request("spec.audiences: expected a list of strings")
    account = await parts.registry.get(target.resource.key(target.namespace, target.name))
    if account is None:
        raise not_found(target.resource, target.name)
    bound, node = await _bound(parts, target, spec.get("boundObjectRef"))
    own = node_of(request.user)
    if own and (bound is None or bound.kind != "Pod" or node is None or node[0] != own):
        why = f'node "{own}" requested a token that is not bound to a pod on it'
        raise forbidden(target.resource, target.name, why)
    expires = parts.now() + timedelta(seconds=lifetime_s)
    spec = {**spec, "audiences": audiences, "expirationSeconds": lifetime_s}
    token = ""
    if not is_dry_run(request):
        token = parts.security.tokens.sign(account.object, audiences, lifetime_s, bound, node)
    metadata = {
        "name": target.name,
        "namespace": target.namespace,
        "creationTimestamp": timestamp(parts.now()),
    }
    status = {"token": token, "expirationTimestamp": timestamp(expires)}
    return ObjectAnswer(201, {**wanted, "metadata": metadata, "spec": spec, "status": status})


def _lifetime_s(spec: dict[str, Any], name: str) -> int:
    asked = spec.get("expirationSeconds", LIFETIME_S)
    if not isinstance(asked, int) or isinstance(asked, bool):
        raise bad_request(f"spec.expirationSeconds: {asked!r} is no number")
    words = ""
    if asked < LIFETIME_S_MIN:
        words = "may not specify a duration less than 10 minutes"
    elif asked > LIFETIME_S_MAX:
        words = "may not specify a duration larger than 2^32 seconds"
    if words:
        told = f"Invalid value: {asked}: {words}"
        raise invalid(KIND, name, [Cause("FieldValueInvalid", told, "spec.expirationSeconds")])
    return min(asked, LIFETIME_S_GIVEN_MAX)


async def _bound(
    parts: Parts, target: Target, reference: dict[str, Any] | None
) -> tuple[Binding | None, tuple[str, str] | None]:
    """The object that the token shall live as long as, and for a pod the node that it is on."""
    if not reference:
        return None, None
    kind, name, uid = (reference.get(field, "") for field in ("kind", "name", "uid"))
    resource = parts.catalogue.find("", "v1", _BOUND.get(kind, ""))
    if resource is None:
        raise bad_request(f"cannot bind token to object of type {kind!r}")
    namespace = target.namespace if resource.namespaced else ""
    found = await parts.registry.get(resource.key(namespace, name))
    if found is None:
        raise not_found(resource, name)
    actual = found.object["metadata"]["uid"]
    if uid and uid != actual:
        why = (
            f"the UID in the bound object reference ({uid}) does not match the UID in record. "
            f"The object might have been deleted and then recreated"
        )
        raise conflict(resource, name, why)
    spec = found.object.get("spec", {})
    if kind == "Pod" and spec.get("serviceAccountName", "default") != target.name:
        why = f"cannot bind token for serviceaccount {target.name!r} to pod running with another"
        raise bad_request(why)
    node = await _node_of(parts, spec.get("nodeName", "")) if kind == "Pod" else None
    return Binding(kind, name, actual), node


async def _node_of(parts: Parts, name: str) -> tuple[str, str] | None:
    nodes = parts.catalogue.find("", "v1", "nodes")
    assert nodes is not None, "nodes are not served"
    found = await parts.registry.get(nodes.key("", name)) if name else None
    return (name, found.object["metadata"]["uid"]) if found is not None else None
