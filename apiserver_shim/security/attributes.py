"""What an authorizer is asked: who wants to do what with what.

Owns: Attributes, how they are taken from a request, and the words of a refusal. Must never do:
decide. The attributes and texts are a real apiserver's.
"""

from __future__ import annotations

from dataclasses import dataclass

from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.selectors import parse_fields
from apiserver_shim.api.status import ApiError
from apiserver_shim.api.user import User
from apiserver_shim.resources.resource import Resource

_METHODS = {
    "GET": "get",
    "HEAD": "head",
    "POST": "post",
    "PUT": "put",
    "PATCH": "patch",
    "DELETE": "delete",
    "OPTIONS": "options",
}


@dataclass(frozen=True, slots=True)
class Attributes:
    """``path`` is set for what is no resource, and then ``resource`` is empty."""

    user: User
    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def combined(self) -> str:
        """As RBAC rules name it: ``pods``, ``pods/log``."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    @property
    def question(self) -> tuple[str, ...]:
        """All but the user."""
        return (
            self.verb,
            self.group,
            self.resource,
            self.subresource,
            self.namespace,
            self.name,
            self.path,
        )


def of_target(user: User, target: Target, request: ApiRequest | None = None) -> Attributes:
    """A namespace is in itself. Where the field selector asks for one name, that one is asked for:
    whoever may read one object may list and watch just it."""
    namespace, name = target.namespace, target.name
    if target.resource.plural == "namespaces" and not target.resource.group:
        namespace = name
    if not name and request is not None and target.verb in ("list", "watch", "deletecollection"):
        name = _selected_name(request.query.get("fieldSelector", ""), target.resource)
    return Attributes(
        user,
        target.verb,
        target.resource.group,
        target.resource.plural,
        target.subresource,
        namespace,
        name,
    )


def of_path(user: User, request: ApiRequest) -> Attributes:
    return Attributes(user, _METHODS.get(request.method, request.method.lower()), path=request.path)


def refused(asked: Attributes, why: str = "") -> ApiError:
    """The 403 that real clients print."""
    who, more = f'User "{asked.user.name}"', f": {why}" if why else ""
    if asked.path:
        text = f'forbidden: {who} cannot {asked.verb} path "{asked.path}"{more}'
        return ApiError(403, "Forbidden", text)
    scope = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    qualified = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    named = f' "{asked.name}"' if asked.name else ""
    text = (
        f"{qualified}{named} is forbidden: {who} cannot {asked.verb} resource "
        f'"{asked.combined}" in API group "{asked.group}" {scope}{more}'
    )
    return ApiError(403, "Forbidden", text, name=asked.name, group=asked.group, kind=asked.resource)


def _selected_name(selector: str, resource: Resource) -> str:
    """The one name that the selector leaves possible, by the parser that the verbs use too."""
    try:
        return parse_fields(selector, resource).name
    except ApiError:
        return ""  # the verb will say what is wrong, to who may use it
