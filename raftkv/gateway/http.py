"""The HTTP side of a member's client port: GET /health, /version and /metrics.

Owns: which path answers what, in etcd's JSON. Must never do: know the member or the wire's
transport; it asks a ``HealthSource`` and returns ``HttpResponse`` values.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from raftkv import ETCD_VERSION
from raftkv.wire.service import HttpRequest, HttpResponse

_JSON = "application/json"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class HealthSource(Protocol):
    """What the HTTP side asks of a member."""

    async def alarms(self) -> Sequence[str]:
        """The alarms raised anywhere in the cluster: ``NOSPACE``, ``CORRUPT``."""

    def has_leader(self) -> bool: ...

    async def check_read(self, *, serializable: bool) -> str | None:
        """Read one key; what went wrong, or None."""

    def cluster_version(self) -> str | None:
        """The version that all members agreed on, None before they did."""


Answer = Callable[[HttpRequest, dict[str, list[str]]], Awaitable[HttpResponse]]


class HttpGateway:
    """Implements ``service.HttpHandler``."""

    def __init__(self, source: HealthSource, render_metrics: Callable[[], bytes]) -> None:
        self._source = source
        self._render_metrics = render_metrics
        self._routes: dict[str, Answer] = {
            "/health": self._health,
            "/version": self._version,
            "/metrics": self._metrics,
        }

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        parts = urlsplit(request.target)
        answer = self._routes.get(parts.path)
        if answer is None:
            return HttpResponse(404, b"404 page not found\n")
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(405, b"Method Not Allowed\n", headers={"allow": "GET"})
        return await answer(request, parse_qs(parts.query, keep_blank_values=True))

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
        return None if failure is None else f"RANGE ERROR:{failure}"

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
