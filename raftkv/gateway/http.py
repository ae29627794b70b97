"""The HTTP side of a member's client port: /health, /livez, /readyz, /version, /metrics, and /v3/.

Owns: which path answers what, in etcd's JSON. Must never do: know the member or the wire's
transport; it asks a ``HealthSource`` and returns ``HttpResponse`` values.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from raftkv import ETCD_VERSION
from raftkv.gateway.health_source import HealthSource
from raftkv.gateway.json_api import JsonApi
from raftkv.gateway.probes import Probes
from raftkv.gateway.target import PREFIX, path_of, query_of
from raftkv.wire.service import HttpRequest, HttpResponse

_JSON = "application/json"
_NOT_ALLOWED = HttpResponse(405, b"Method Not Allowed\n", headers={"allow": "GET"})
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


Answer = Callable[[HttpRequest, dict[str, list[str]]], Awaitable[HttpResponse]]


class HttpGateway:
    """Implements ``service.HttpHandler``."""

    def __init__(
        self, source: HealthSource, render_metrics: Callable[[], bytes], json_api: JsonApi | None
    ) -> None:
        """Without a ``json_api`` there is nothing under /v3/."""
        self._source = source
        self._probes = Probes(source)
        self._json_api = json_api
        self._render_metrics = render_metrics
        self._routes: dict[str, Answer] = {
            "/health": self._health,
            "/version": self._version,
            "/metrics": self._metrics,
        }

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        path = path_of(request.target)
        if path.startswith(PREFIX) and self._json_api is not None:
            return await self._json_api(request, path)
        if self._probes.has(path):
            if request.method not in ("GET", "HEAD"):
                return _NOT_ALLOWED
            query = query_of(request)
            as_json = query.get("format", [""])[0] == "json"
            return await self._probes.answer(path, verbose="verbose" in query, as_json=as_json)
        answer = self._routes.get(path)
        if answer is None:
            return HttpResponse(404, b"404 page not found\n")
        if request.method not in ("GET", "HEAD"):
            return _NOT_ALLOWED
        return await answer(request, query_of(request))

    async def _health(self, request: HttpRequest, query: dict[str, list[str]]) -> HttpResponse:
        reason = await self._unhealthy(
            excluded=set(query.get("exclude", [])),
            serializable=query.get("serializable", [""])[0].lower() in ("true", "1", "t"),
        )
        health = "true" if reason is None else "false"
        body = json.dumps({"health": health, "reason": reason or ""}, separators=(",", ":"))
        return HttpResponse(200 if reason is None else 503, body.encode(), _JSON)

    async def _unhealthy(self, *, excluded: set[str], serializable: bool) -> str | None:
        """The reason in etcd's words, in etcd's order: alarms, leader, a read."""
        for alarm in await self._source.alarms():
            if alarm not in excluded:
                return f"ALARM {alarm}"
        if not self._source.has_leader():
            return "RAFT NO LEADER"
        failure = await self._source.check_read(serializable=serializable)
        return None if failure is None else f"RANGE ERROR:{failure.text}"

    async def _version(self, request: HttpRequest, query: dict[str, list[str]]) -> HttpResponse:
        agreed = self._source.cluster_version()
        versions = {
            "etcdserver": ETCD_VERSION,
            "etcdcluster": agreed or "not_decided",
            "storage": agreed or "unknown",
        }
        return HttpResponse(200, json.dumps(versions, separators=(",", ":")).encode(), _JSON)

    async def _metrics(self, request: HttpRequest, query: dict[str, list[str]]) -> HttpResponse:
        return HttpResponse(200, self._render_metrics(), _METRICS)
