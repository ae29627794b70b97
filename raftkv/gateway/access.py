"""Which browsers and which names may use the HTTP side of the client port.

Owns: CORS headers by --cors, and the check of the Host header by --host-whitelist, which is etcd's
answer to DNS rebinding: a page of a foreign name that resolves to this machine is refused, unless
TLS has proven the name; and etcd's refusal of certificates' names at the JSON gateway. Must never
do: answer a request that passes; it stands before all paths.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

from raftkv.gateway.target import PREFIX, path_of
from raftkv.wire.service import (
    HttpExchange,
    HttpHandler,
    HttpHead,
    HttpRequest,
    HttpResponse,
    HttpStreamHandler,
    HttpStreams,
)

ANY = "*"
NAME_IGNORED = (
    b"CommonName of client sending a request against gateway will be ignored and not used as "
    b"expected\n"
)
"""etcd's words."""
_ALLOWED = {
    "access-control-allow-methods": "POST, GET, OPTIONS, PUT, DELETE",
    "access-control-allow-headers": "accept, content-type, authorization",
}


class AccessControl:
    """``origins`` and ``hosts`` as the flags have them; ANY among them allows all. While
    ``names_are_users``, who comes with a certificate's name is kept from the JSON gateway, where
    that name would count for nothing."""

    def __init__(
        self,
        origins: frozenset[str],
        hosts: frozenset[str],
        names_are_users: Callable[[], bool] = lambda: False,
    ) -> None:
        self._origins = origins
        self._hosts = hosts
        self._names_are_users = names_are_users

    def guard(self, handler: HttpHandler, *, is_secure: bool) -> HttpHandler:
        """``handler`` behind the checks. ``is_secure``: over TLS, where any Host will do."""

        async def guarded(request: HttpRequest) -> HttpResponse:
            if not is_secure and not self._allows_host(request.headers):
                return _misdirected(_host_of(request.headers))
            if self._mistakes_itself(request):
                return HttpResponse(400, NAME_IGNORED)
            cors = self._cors(request.headers)
            if request.method == "OPTIONS":
                return HttpResponse(200, b"", headers=cors)
            response = await handler(request)
            return replace(response, headers={**cors, **response.headers})

        return guarded

    def guard_streams(self, streams: HttpStreams, *, is_secure: bool) -> HttpStreams:
        """What must not pass is left to the guarded handler, which says so."""

        def guarded(head: HttpHead) -> HttpStreamHandler | None:
            if not is_secure and not self._allows_host(head.headers):
                return None
            if self._mistakes_itself(head):
                return None
            handler = streams(head)
            if handler is None:
                return None
            cors = self._cors(head.headers)

            async def serve(exchange: HttpExchange) -> None:
                await handler(_CrossOrigin(exchange, cors))

            return serve

        return guarded

    def _mistakes_itself(self, request: HttpRequest | HttpHead) -> bool:
        return (
            bool(request.peer_common_name)
            and path_of(request.target).startswith(PREFIX)
            and self._names_are_users()
        )

    def _allows_host(self, headers: Mapping[str, str]) -> bool:
        return not self._hosts or ANY in self._hosts or _host_of(headers) in self._hosts

    def _cors(self, headers: Mapping[str, str]) -> dict[str, str]:
        if ANY in self._origins:
            return {**_ALLOWED, "access-control-allow-origin": ANY}
        origin = headers.get("origin", "")
        if origin not in self._origins:
            return {}
        return {**_ALLOWED, "access-control-allow-origin": origin, "vary": "Origin"}


class _CrossOrigin:
    """An exchange whose answer has CORS headers."""

    def __init__(self, exchange: HttpExchange, cors: Mapping[str, str]) -> None:
        self._exchange = exchange
        self._cors = cors
        self.request = exchange.request
        self.send = exchange.send
        self.drain = exchange.drain

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._exchange)

    def start(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        self._exchange.start(status, content_type, {**self._cors, **headers})

    @property
    def backlog(self) -> int:
        return self._exchange.backlog


def _host_of(headers: Mapping[str, str]) -> str:
    """The name in Host, without a port or an IPv6 address's brackets."""
    host = headers.get("host", "")
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and ":" not in name else host


def _misdirected(host: str) -> HttpResponse:
    text = (
        f"the Host {host!r} is not one that this member answers to over plain HTTP: "
        f"add it to --host-whitelist, or use TLS\n"
    )
    return HttpResponse(421, text.encode("utf-8", "replace"))
