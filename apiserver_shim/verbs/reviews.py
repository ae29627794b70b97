"""Reviews: questions in the form of a create, answered and not stored.

Owns: TokenReview and the four SubjectAccessReviews. Must never do: write. A question that is no
question is 422; what is not allowed is an answer, not an error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from apiserver_shim.api.answer import ObjectAnswer
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.status import ApiError, Cause, invalid
from apiserver_shim.api.user import AUTHENTICATED, User
from apiserver_shim.parts import Parts
from apiserver_shim.resources.resource import Resource
from apiserver_shim.resources.reviews import AUTHENTICATION, AUTHORIZATION
from apiserver_shim.security.attributes import Attributes
from apiserver_shim.verbs.decoding import check_kind, check_schema, decode

Review = Callable[[Parts, ApiRequest, Target, dict[str, Any]], Awaitable[dict[str, Any]]]


async def review(parts: Parts, request: ApiRequest, target: Target) -> ObjectAnswer:
    """The object that was sent, with its status."""
    obj = decode(request)
    check_kind(obj, target.resource)
    obj.pop("status", None)
    warnings = check_schema(parts, request, target.resource, obj)
    answer = _REVIEWS[target.resource.group, target.resource.plural]
    status = await answer(parts, request, target, obj.get("spec") or {})
    obj.setdefault("metadata", {}).setdefault("creationTimestamp", None)
    obj["status"] = status
    return ObjectAnswer(201, obj, None, warnings)


def is_review(resource: Resource) -> bool:
    return (resource.group, resource.plural) in _REVIEWS


async def _who_am_i(
    parts: Parts, request: ApiRequest, target: Target, spec: dict[str, Any]
) -> dict[str, Any]:
    return {"userInfo": request.user.info}


async def _token(
    parts: Parts, request: ApiRequest, target: Target, spec: dict[str, Any]
) -> dict[str, Any]:
    token = spec.get("token", "")
    if not token:
        words = "Required value"
        raise invalid(target.resource, "", [Cause("FieldValueRequired", words, "spec.token")])
    audiences = spec.get("audiences") or parts.security.authenticator.audiences
    try:
        user, shared = await parts.security.authenticator.by_token(token, audiences)
    except ApiError:
        return {"user": {}, "error": "invalid bearer token, or not for these audiences"}
    groups = tuple(dict.fromkeys((*user.groups, AUTHENTICATED)))
    told = User(user.name, groups, user.uid, user.extra)
    return {"authenticated": True, "user": told.info, "audiences": shared}


async def _own_access(
    parts: Parts, request: ApiRequest, target: Target, spec: dict[str, Any]
) -> dict[str, Any]:
    return _access(parts, request.user, target, spec)


async def _access_of(
    parts: Parts, request: ApiRequest, target: Target, spec: dict[str, Any]
) -> dict[str, Any]:
    if not spec.get("user") and not spec.get("groups"):
        words = "Required value: at least one of user or group must be specified"
        raise invalid(target.resource, "", [Cause("FieldValueRequired", words, "spec.user")])
    user = User(
        spec.get("user", ""),
        tuple(spec.get("groups") or ()),
        spec.get("uid", ""),
        dict(spec.get("extra") or {}),
    )
    return _access(parts, user, target, spec)


async def _local_access_of(
    parts: Parts, request: ApiRequest, target: Target, spec: dict[str, Any]
) -> dict[str, Any]:
    asked = spec.get("resourceAttributes") or {}
    if asked.get("namespace", "") != target.namespace:
        words = f'Invalid value: "{asked.get("namespace", "")}": must match metadata.namespace'
        cause = Cause("FieldValueInvalid", words, "spec.resourceAttributes.namespace")
        raise invalid(target.resource, "", [cause])
    return await _access_of(parts, request, target, spec)


def _access(parts: Parts, user: User, target: Target, spec: dict[str, Any]) -> dict[str, Any]:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        words = (
            "Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be "
            "specified"
        )
        cause = Cause("FieldValueInvalid", words, "spec.resourceAttributes")
        raise invalid(target.resource, "", [cause])
    if resource is not None:
        fields = ("verb", "group", "resource", "subresource", "namespace", "name")
        asked = Attributes(user, *(resource.get(field) or "" for field in fields))
    else:
        path = path or {}
        asked = Attributes(user, path.get("verb") or "", path=path.get("path") or "/")
    return {"allowed": parts.security.authorizer.allows(asked)}


async def _own_rules(
    parts: Parts, request: ApiRequest, target: Target, spec: dict[str, Any]
) -> dict[str, Any]:
    namespace = spec.get("namespace", "")
    if not namespace:
        words = "Required value: no namespace on request"
        raise invalid(target.resource, "", [Cause("FieldValueRequired", words, "spec.namespace")])
    rules = parts.security.authorizer.rules_of(request.user, namespace)
    bodies = [rule.body for rule in dict.fromkeys(rules)]
    return {
        "resourceRules": [body for body in bodies if "resources" in body],
        "nonResourceRules": [body for body in bodies if "nonResourceURLs" in body],
        "incomplete": False,
    }


_REVIEWS: dict[tuple[str, str], Review] = {
    (AUTHENTICATION, "selfsubjectreviews"): _who_am_i,
    (AUTHENTICATION, "tokenreviews"): _token,
    (AUTHORIZATION, "localsubjectaccessreviews"): _local_access_of,
    (AUTHORIZATION, "selfsubjectaccessreviews"): _own_access,
    (AUTHORIZATION, "selfsubjectrulesreviews"): _own_rules,
    (AUTHORIZATION, "subjectaccessreviews"): _access_of,
}
