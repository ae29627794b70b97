"""/debug/top: the busiest clients, users, prefixes and methods of this member, as JSON.

Owns: that page. Must never do: be there unless --enable-top-talkers asked for it: it shows whose
keys are in use.
"""

from __future__ import annotations

import json

from raftkv.access.talkers import SHOWN, SHOWN_MAX, Talkers
from raftkv.gateway.target import path_of, query_of
from raftkv.wire.service import HttpHandler, HttpRequest, HttpResponse

PATH = "/debug/top"


class TalkerPages:
    """Implements ``service.HttpHandler``: PATH here, everything else behind it."""

    def __init__(self, talkers: Talkers, gateway: HttpHandler) -> None:
        self._talkers = talkers
        self._gateway = gateway

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        if path_of(request.target) != PATH:
            return await self._gateway(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(405, b"Method Not Allowed\n", headers={"allow": "GET"})
        text = query_of(request).get("n", [str(SHOWN)])[0]
        if not text.isdecimal() or not 1 <= int(text) <= SHOWN_MAX:
            return HttpResponse(400, b"n must be a whole number from 1 to %d\n" % SHOWN_MAX)
        body = json.dumps(self._talkers.report(int(text)), separators=(",", ":"))
        return HttpResponse(200, body.encode(), "application/json")
