"""The paths that are no objects: discovery, OpenAPI, version, health.

Owns: which path has which document. Must never do: know verbs of resources.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from apiserver_shim.api.answer import TextAnswer
from apiserver_shim.api.request import ApiRequest
from apiserver_shim.api.status import no_such_path
from apiserver_shim.discovery.groups import (
    aggregated,
    core_versions,
    group_list,
    group_of,
    resource_list,
)
from apiserver_shim.discovery.schema_documents import SchemaDocuments
from apiserver_shim.parts import Parts
from apiserver_shim.schemas.definitions import VERSION
from apiserver_shim.schemas.openapi import OpenApi

Document = Callable[[ApiRequest], Awaitable[TextAnswer]]

_HEALTH = ("/healthz", "/livez", "/readyz")
_AGGREGATED = {"g": "apidiscovery.k8s.io", "as": "APIGroupDiscoveryList"}
_AGGREGATED_VERSIONS = ("v2", "v2beta1")


class Documents:
    """``health`` and ``metrics`` answer their paths."""

    def __init__(self, parts: Parts, address: str, health: Document, metrics: Document) -> None:
        self._parts = parts
        self._schemas = SchemaDocuments(OpenApi(parts.catalogue, parts.definitions))
        self._address = address
        self._fixed: dict[str, Document] = {
            "/api": self._core,
            "/apis": self._groups,
            "/version": self._version,
            "/openapi/v2": self._schemas.v2,
            "/openapi/v3": self._schemas.v3_index,
            **dict.fromkeys(_HEALTH, health),
            "/metrics": metrics,
        }

    def find(self, request: ApiRequest) -> Document | None:
        """What answers the path, if it is one of ours."""
        path = request.path.rstrip("/") or "/"
        if path in self._fixed:
            return self._fixed[path]
        match path.split("/")[1:]:
            case ["api", _] | ["apis", _, _]:
                return self._resources
            case ["apis", _]:
                return self._group
            case ["openapi", "v3", *_]:
                return self._schemas.v3
            case [("healthz" | "livez" | "readyz"), *_]:
                return self._fixed["/readyz"]
        return None

    async def _core(self, request: ApiRequest) -> TextAnswer:
        if version := _aggregated_version(request):
            return _aggregated(aggregated(self._parts.catalogue, version, core=True), version)
        return _json(core_versions(self._address))

    async def _groups(self, request: ApiRequest) -> TextAnswer:
        if version := _aggregated_version(request):
            return _aggregated(aggregated(self._parts.catalogue, version, core=False), version)
        return _json(group_list(self._parts.catalogue))

    async def _group(self, request: ApiRequest) -> TextAnswer:
        name = request.path.split("/")[2]
        versions = self._parts.catalogue.groups().get(name)
        if versions is None:
            raise no_such_path()
        return _json({"kind": "APIGroup", "apiVersion": "v1", **group_of(name, versions)})

    async def _resources(self, request: ApiRequest) -> TextAnswer:
        words = request.path.rstrip("/").split("/")[1:]
        group, version = ("", words[1]) if words[0] == "api" else (words[1], words[2])
        if not self._parts.catalogue.served_at(group, version):
            raise no_such_path()
        return _json(resource_list(self._parts.catalogue, group, version))

    async def _version(self, request: ApiRequest) -> TextAnswer:
        major, minor, _ = VERSION.split(".")
        return _json(
            {
                "major": major,
                "minor": minor,
                "gitVersion": f"v{VERSION}+raftkv",
                "gitCommit": "",
                "gitTreeState": "clean",
                "buildDate": "1970-01-01T00:00:00Z",
                "goVersion": "",
                "compiler": "",
                "platform": "linux/amd64",
            }
        )


def _json(body: dict[str, Any]) -> TextAnswer:
    return TextAnswer(200, orjson.dumps(body), "application/json")


def _aggregated_version(request: ApiRequest) -> str:
    """The first form of the header that is offered: a version of the aggregated one, or empty."""
    for choice in request.headers.get("accept", "").split(","):
        media_type, *parameters = (part.strip() for part in choice.split(";"))
        if media_type not in ("application/json", "*/*"):
            continue
        named = dict(part.partition("=")[::2] for part in parameters)
        if _AGGREGATED.items() <= named.items() and named.get("v") in _AGGREGATED_VERSIONS:
            return named["v"]
        if "as" not in named:
            return ""
    return ""


def _aggregated(body: dict[str, Any], version: str) -> TextAnswer:
    kind = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    return TextAnswer(200, orjson.dumps(body), kind)
