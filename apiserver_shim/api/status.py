"""The Status object: how a Kubernetes API says no.

Owns: ApiError with the code, reason and words of each refusal. Must never do: choose which refusal
fits. Codes, reasons and texts are those that clients of a real apiserver match on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from apiserver_shim.resources.resource import Resource


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong with an object. ``field`` is a path such as spec.replicas."""

    reason: str
    message: str
    field: str = ""


@dataclass(slots=True)
class ApiError(Exception):
    """Raised anywhere below the HTTP door, answered there."""

    code: int
    reason: str
    message: str
    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""
    causes: Sequence[Cause] = ()
    retry_after_s: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message

    @property
    def body(self) -> dict[str, Any]:
        details = {
            "name": self.name,
            "group": self.group,
            "kind": self.kind,
            "uid": self.uid,
            "causes": [
                {
                    "reason": c.reason,
                    "message": c.message,
                    **({"field": c.field} if c.field else {}),
                }
                for c in self.causes
            ],
            "retryAfterSeconds": self.retry_after_s,
        }
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": {key: value for key, value in details.items() if value},
            "code": self.code,
        }
        return {key: value for key, value in body.items() if value != "" and key}


def _about(resource: Resource, name: str) -> dict[str, Any]:
    return {"name": name, "group": resource.group, "kind": resource.plural}


def not_found(resource: Resource, name: str) -> ApiError:
    text = f'{resource.qualified} "{name}" not found'
    return ApiError(404, "NotFound", text, **_about(resource, name))


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(resource: Resource, name: str) -> ApiError:
    text = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", text, **_about(resource, name))


def conflict(resource: Resource, name: str, why: str) -> ApiError:
    text = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", text, **_about(resource, name))


def modified(resource: Resource, name: str) -> ApiError:
    return conflict(
        resource,
        name,
        "the object has been modified; please apply your changes to the latest version and try "
        "again",
    )


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiError:
    """``causes`` are sorted by field by nobody: they come in the order of the object."""
    told = [f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in causes]
    text = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    who = resource.kind if not resource.group else f"{resource.kind}.{resource.group}"
    return ApiError(
        422,
        "Invalid",
        f'{who} "{name}" is invalid: {text}',
        name=name,
        group=resource.group,
        kind=resource.kind,
        causes=causes,
    )


def bad_request(text: str) -> ApiError:
    return ApiError(400, "BadRequest", text)


def forbidden(resource: Resource, name: str, why: str, causes: Sequence[Cause] = ()) -> ApiError:
    text = f'{resource.qualified} "{name}" is forbidden: {why}'
    return ApiError(403, "Forbidden", text, causes=causes, **_about(resource, name))


def expired(text: str) -> ApiError:
    return ApiError(410, "Expired", text)


def method_not_allowed(text: str) -> ApiError:
    return ApiError(405, "MethodNotAllowed", text)


def not_acceptable(offered: str) -> ApiError:
    text = f"only the following media types are accepted: {offered}"
    return ApiError(406, "NotAcceptable", text)


def unsupported_media_type(offered: str) -> ApiError:
    text = (
        "the body of the request was in an unknown format - accepted media types include: "
        f"{offered}"
    )
    return ApiError(415, "UnsupportedMediaType", text)


def too_large(limit: int) -> ApiError:
    text = f"Request entity is too large: limit is {limit}"
    return ApiError(413, "RequestEntityTooLarge", text)


def too_large_revision(asked: int, current: int) -> ApiError:
    """The shim's copy has not come to the revision that the client has seen elsewhere."""
    text = f"Too large resource version: {asked}, current: {current}"
    cause = Cause("ResourceVersionTooLarge", "Too large resource version")
    return ApiError(504, "Timeout", text, causes=(cause,), retry_after_s=1)


def unavailable(text: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", text, retry_after_s=1)


def internal(text: str) -> ApiError:
    return ApiError(500, "InternalError", f"Internal error occurred: {text}")
