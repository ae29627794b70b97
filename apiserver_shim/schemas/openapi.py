"""The OpenAPI documents: version 2 whole, version 3 by group and version.

Owns: putting definitions and paths together, and the hash by which clients cache. Must never do:
hold schemas of its own. Made once per state of the catalogue: they are megabytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import orjson

from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.resources.resource import Resource
from apiserver_shim.schemas.definitions import GVK, REF, VERSION, Definitions, Schema
from apiserver_shim.schemas.openapi_protobuf import encode_document
from apiserver_shim.schemas.paths import paths_of

REF_V3 = "#/components/schemas/"
_INFO = {"title": "Kubernetes", "version": f"v{VERSION}"}


class OpenApi:
    def __init__(self, catalogue: Catalogue, definitions: Definitions) -> None:
        self._catalogue = catalogue
        self._definitions = definitions
        self._made: dict[str, tuple[int, bytes]] = {}

    def v2(self) -> bytes:
        return self._cached("v2", lambda: orjson.dumps(self._make_v2()))

    def v2_protobuf(self) -> bytes:
        return self._cached("v2 protobuf", lambda: encode_document(self._make_v2()))

    def v3_index(self) -> bytes:
        """Path -> where its document lies, with a hash that changes when the document does."""
        return self._cached("v3", self._make_v3_index)

    def v3_hash(self, group: str, version: str) -> str:
        return hashlib.sha256(self.v3(group, version) or b"").hexdigest()[:32].upper()

    def v3(self, group: str, version: str) -> bytes | None:
        """None for what is not served."""
        resources = self._catalogue.served_at(group, version)
        if not resources:
            return None
        return self._cached(_path(group, version), lambda: self._make_v3(resources))

    # --- making ---------------------------------------------------------------------------------

    def _cached(self, name: str, make: Callable[[], bytes]) -> bytes:
        state = self._catalogue.changes
        found = self._made.get(name)
        if found is None or found[0] != state:
            found = self._made[name] = (state, make())
        return found[1]

    def _group_versions(self) -> list[tuple[str, str]]:
        named = self._catalogue.groups().items()
        return [("", "v1"), *((group, v) for group, versions in sorted(named) for v in versions)]

    def _make_v2(self) -> dict[str, Any]:
        resources = list(self._catalogue)
        definitions: dict[str, Schema] = dict(self._definitions.all)
        for resource in resources:
            if resource.is_custom:
                definitions[_custom_name(resource)] = self._custom(resource)
        return {
            "swagger": "2.0",
            "info": _INFO,
            "paths": paths_of(resources, version=2),
            "definitions": definitions,
        }

    def _make_v3_index(self) -> bytes:
        paths = {}
        for group, version in self._group_versions():
            path = _path(group, version)
            url = f"/openapi/v3/{path}?hash={self.v3_hash(group, version)}"
            paths[path] = {"serverRelativeURL": url}
        return orjson.dumps({"paths": paths})

    def _make_v3(self, resources: list[Resource]) -> bytes:
        wanted: dict[str, Schema] = {}
        for resource in resources:
            if resource.is_custom:
                wanted[_custom_name(resource)] = _as_v3(self._custom(resource))
                self._gather(self._custom(resource), wanted)
            elif name := self._definitions.name_of(resource):
                self._gather({"$ref": REF + name}, wanted)
        document = {
            "openapi": "3.0.0",
            "info": _INFO,
            "paths": paths_of(resources, version=3),
            "components": {"schemas": wanted},
        }
        return orjson.dumps(document)

    def _gather(self, node: Any, wanted: dict[str, Schema]) -> None:
        """Every definition that ``node`` leads to."""
        if isinstance(node, list):
            for each in node:
                self._gather(each, wanted)
        elif isinstance(node, dict):
            ref = node.get("$ref")
            if isinstance(ref, str) and ref.startswith(REF):
                name = ref[len(REF) :]
                if name not in wanted:
                    wanted[name] = _as_v3(self._definitions.all[name])
                    self._gather(self._definitions.all[name], wanted)
            for value in node.values():
                self._gather(value, wanted)

    def _custom(self, resource: Resource) -> Schema:
        gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        return {**(self._definitions.of(resource) or {"type": "object"}), GVK: [gvk]}


def _path(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _custom_name(resource: Resource) -> str:
    reversed_group = ".".join(reversed(resource.group.split(".")))
    return f"{reversed_group}.{resource.version}.{resource.kind}"


def _as_v3(node: Any) -> Any:
    """References point elsewhere, and one with neighbours is wrapped, since in version 3 whatever
    stands beside a reference is ignored."""
    if isinstance(node, list):
        return [_as_v3(each) for each in node]
    if not isinstance(node, dict):
        return node
    ref = node.get("$ref")
    if not isinstance(ref, str) or not ref.startswith(REF):
        return {key: _as_v3(value) for key, value in node.items()}
    target = {"$ref": REF_V3 + ref[len(REF) :]}
    rest = {key: value for key, value in node.items() if key != "$ref"}
    return {"allOf": [target], **rest} if rest else target
