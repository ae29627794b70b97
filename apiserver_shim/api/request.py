"""What an API request asks for: its path taken apart, its verb named as RBAC names it.

Owns: Target and the rules of Kubernetes' paths. Must never do: know what is stored, or who asks.

    /api/v1/namespaces/default/pods/web-0/log
    /apis/apps/v1/deployments
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from apiserver_shim.api.status import ApiError, method_not_allowed, no_such_path
from apiserver_shim.api.user import NOBODY, User
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.resources.resource import Resource

_WRITES = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Target:
    """``verb`` is one of RBAC's. ``name`` is empty for a collection."""

    resource: Resource
    verb: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request, whole. Header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    user: User = NOBODY

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("1", "true")


def target_of(request: ApiRequest, catalogue: Catalogue) -> Target:
    """Raises 404 for a path that names nothing served and 405 for a verb it does not have."""
    parts = [part for part in request.path.split("/") if part]
    group, version, rest = _group_of(parts)
    namespace, plural, name, subresource = _place(rest)
    resource = catalogue.find(group, version, plural)
    if resource is None or (namespace and not resource.namespaced):
        raise no_such_path()
    if subresource and subresource not in resource.subresources:
        raise no_such_path()
    verb = _verb(request, name, subresource)
    if resource.namespaced and not namespace and (name or verb == "create"):
        raise no_such_path()
    if not subresource and verb not in resource.verbs:
        raise _not_allowed(request, resource)
    return Target(resource, verb, namespace, name, subresource)


def _group_of(parts: list[str]) -> tuple[str, str, list[str]]:
    match parts:
        case ["api", version, *rest]:
            return "", version, rest
        case ["apis", group, version, *rest]:
            return group, version, rest
    raise no_such_path()


def _place(rest: list[str]) -> tuple[str, str, str, str]:
    """Namespace, plural, name, subresource. A namespace is itself an object with subresources."""
    match rest:
        case ["namespaces"]:
            return "", "namespaces", "", ""
        case ["namespaces", name]:
            return "", "namespaces", name, ""
        case ["namespaces", name, ("status" | "finalize") as part]:
            return "", "namespaces", name, part
        case ["namespaces", namespace, plural, *more]:
            scope = namespace
        case [plural, *more]:
            scope = ""
        case _:
            raise no_such_path()
    match more:
        case []:
            return scope, plural, "", ""
        case [name]:
            return scope, plural, name, ""
        case [name, subresource]:
            return scope, plural, name, subresource
    raise no_such_path()


def _verb(request: ApiRequest, name: str, subresource: str) -> str:
    if request.method in ("GET", "HEAD"):
        if name and not request.flag("watch"):
            return "get"
        return "watch" if request.flag("watch") else "list"
    verb = _WRITES.get(request.method)
    if verb is None or (name and verb == "create" and not subresource):
        raise method_not_allowed("the server does not allow this method on the requested resource")
    if verb == "delete" and not name:
        return "deletecollection"
    if not name and verb != "create":
        raise method_not_allowed("the server does not allow this method on the requested resource")
    return verb


def _not_allowed(request: ApiRequest, resource: Resource) -> ApiError:
    return method_not_allowed(
        f"{resource.qualified} does not support {request.method} requests here"
    )
