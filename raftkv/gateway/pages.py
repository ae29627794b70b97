"""Which pages a port shows: the metrics port has metrics and health alone.

Owns: MetricsPages. Must never do: answer anything itself; the gateway behind it does.
"""

from __future__ import annotations

from raftkv.gateway.target import path_of
from raftkv.wire.service import HttpHandler, HttpRequest, HttpResponse

_PAGES = frozenset(("metrics", "health", "livez", "readyz"))


class MetricsPages:
    """Implements ``service.HttpHandler`` for --listen-metrics-urls."""

    def __init__(self, gateway: HttpHandler) -> None:
        self._gateway = gateway

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        page = path_of(request.target).lstrip("/").partition("/")[0]
        if page not in _PAGES:
            return HttpResponse(404, b"404 page not found\n")
        return await self._gateway(request)
