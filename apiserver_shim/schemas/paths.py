"""The `paths` of the OpenAPI documents: which verbs each resource has, and with which options.

Owns: operations as clients read them: kubectl looks here whether dryRun and fieldValidation are
understood, generators for everything. Must never do: name an operation that is not served.
"""

from __future__ import annotations

from typing import Any

from apiserver_shim.resources.resource import Resource

_READS = (
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
)
_WRITES = ("dryRun", "fieldManager", "fieldValidation")
_TYPES = {
    "limit": "integer",
    "timeoutSeconds": "integer",
    "gracePeriodSeconds": "integer",
    "watch": "boolean",
    "force": "boolean",
    "sendInitialEvents": "boolean",
    "allowWatchBookmarks": "boolean",
}
_ACTIONS = {
    # HTTP method, on a named object, action, options
    "get": ("get", True, "get", ()),
    "list": ("get", False, "list", _READS),
    "create": ("post", False, "post", _WRITES),
    "update": ("put", True, "put", _WRITES),
    "patch": ("patch", True, "patch", (*_WRITES, "force")),
    "delete": ("delete", True, "delete", ("dryRun", "gracePeriodSeconds", "propagationPolicy")),
    "deletecollection": ("delete", False, "deletecollection", (*_READS, "dryRun")),
}
_PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)


def paths_of(resources: list[Resource], *, version: int) -> dict[str, Any]:
    """For OpenAPI 2 or 3: they differ in where a parameter's type stands."""
    paths: dict[str, Any] = {}
    for resource in resources:
        root = _root(resource)
        one = f"{root}/{{name}}"
        for verb in resource.verbs:
            if verb == "watch":
                continue
            method, named, action, options = _ACTIONS[verb]
            path = one if named else root
            paths.setdefault(path, {})[method] = _operation(resource, action, options, version)
        for subresource in resource.subresources:
            path = f"{one}/{subresource}"
            for verb in _subresource_verbs(subresource):
                method, _, action, options = _ACTIONS[verb]
                paths.setdefault(path, {})[method] = _operation(resource, action, options, version)
        for path in (root, one):
            if path in paths:
                paths[path]["parameters"] = _in_path(path, version)
    return paths


def _root(resource: Resource) -> str:
    group = f"/apis/{resource.group}" if resource.group else "/api"
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    return f"{group}/{resource.version}{scope}/{resource.plural}"


def _subresource_verbs(subresource: str) -> tuple[str, ...]:
    if subresource in ("binding", "eviction", "token"):
        return ("create",)
    if subresource == "log":
        return ("get",)
    return ("update",) if subresource == "finalize" else ("get", "update", "patch")


def _operation(
    resource: Resource, action: str, options: tuple[str, ...], version: int
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{action}{resource.group.title().replace('.', '')}"
        f"{resource.version.title()}{resource.kind}",
        "parameters": [_parameter(name, "query", version) for name in options],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {
            "group": resource.group,
            "version": resource.version,
            "kind": resource.kind,
        },
    }
    if action == "patch":
        types = [t for t in _PATCH_TYPES if not (resource.is_custom and "strategic" in t)]
        if version == 2:
            operation["consumes"] = types
        else:
            operation["requestBody"] = {"content": {t: {"schema": {}} for t in types}}
    return operation


def _in_path(path: str, version: int) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{**_parameter(name, "path", version), "required": True} for name in names]


def _parameter(name: str, where: str, version: int) -> dict[str, Any]:
    kind = {"type": _TYPES.get(name, "string"), "uniqueItems": True}
    told: dict[str, Any] = {"name": name, "in": where}
    return told | (kind if version == 2 else {"schema": kind})
