"""Who may use the HTTP side: CORS for pages of other origins, Host against DNS rebinding."""

from __future__ import annotations

import pytest

from raftkv.gateway.access import AccessControl
from raftkv.wire.service import (
    HttpExchange,
    HttpHead,
    HttpRequest,
    HttpResponse,
    HttpStreamHandler,
)

ALL = frozenset("*")
PAGE = "https://page.example"


async def served(request: HttpRequest) -> HttpResponse:
    return HttpResponse(200, b"served", headers={"x": "y"})


async def ask(
    access: AccessControl, method: str = "GET", *, is_secure: bool = False, **headers: str
) -> HttpResponse:
    handler = access.guard(served, is_secure=is_secure)
    return await handler(HttpRequest(method, "/version", headers, b""))


async def test_all_origins_by_default() -> None:
    """Every answer says so, with the handler's own headers."""
    response = await ask(AccessControl(ALL, ALL), origin=PAGE)
    assert (response.status, response.body) == (200, b"served")
    assert response.headers == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "POST, GET, OPTIONS, PUT, DELETE",
        "access-control-allow-headers": "accept, content-type, authorization",
        "x": "y",
    }


@pytest.mark.parametrize(
    ("origin", "allowed"), [(PAGE, True), ("https://other", False), ("", False)]
)
async def test_some_origins(origin: str, allowed: bool) -> None:
    """Whoever is named is told so by name; to others nothing is said, and they are served."""
    response = await ask(AccessControl(frozenset({PAGE}), ALL), origin=origin)
    assert response.body == b"served"
    assert response.headers.get("access-control-allow-origin") == (PAGE if allowed else None)
    assert response.headers.get("vary") == ("Origin" if allowed else None)


async def test_options_is_answered_for_every_path() -> None:
    """A browser asks before it posts; no handler is bothered."""
    response = await ask(AccessControl(ALL, ALL), "OPTIONS")
    assert (response.status, response.body) == (200, b"")
    assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("etcd.local", 200),
        ("etcd.local:2379", 200),
        ("[::1]:2379", 200),
        ("[::1]", 200),
        ("evil.example", 421),
        ("evil.example:2379", 421),
        ("etcd.local.evil.example", 421),
        ("", 421),
    ],
)
async def test_hosts(host: str, status: int) -> None:
    """Over plain HTTP only the names of the list are answered; OPTIONS is no way around. TLS has
    proven the name already."""
    access = AccessControl(ALL, frozenset({"etcd.local", "::1"}))
    for method in ("GET", "OPTIONS"):
        response = await ask(access, method, host=host)
        assert response.status == status
    if status == 421:
        assert "--host-whitelist" in response.body.decode()
    assert (await ask(access, host=host, is_secure=True)).status == 200


async def test_streams_are_guarded_too() -> None:
    """A foreign name gets no stream, nor does OPTIONS; others get CORS headers on theirs."""
    access = AccessControl(ALL, frozenset({"ok"}))

    async def stream(exchange: HttpExchange) -> None:
        exchange.start(200, "text/plain", {"x": "y"})

    def for_request(head: HttpHead) -> HttpStreamHandler | None:
        return stream if head.method == "POST" else None

    guarded = access.guard_streams(for_request, is_secure=False)
    assert guarded(HttpHead("POST", "/", {"host": "evil"})) is None
    assert guarded(HttpHead("OPTIONS", "/", {"host": "ok"})) is None
    handler = guarded(HttpHead("POST", "/", {"host": "ok"}))
    assert handler is not None
    exchange = _Started()
    await handler(exchange)  # type: ignore[arg-type]
    assert exchange.headers["access-control-allow-origin"] == "*"
    assert exchange.headers["x"] == "y"


class _Started:
    """An exchange that keeps the headers of its answer."""

    request = HttpHead("POST", "/", {})

    def start(self, status: int, content_type: str, headers: dict[str, str]) -> None:
        self.headers = headers

    def send(self, data: bytes) -> None:
        raise AssertionError("nothing is sent here")

    async def drain(self) -> None:
        """Nothing to wait for."""


@pytest.mark.parametrize(
    ("name", "target", "counts", "status"),
    [
        ("ann", "/v3/kv/range", True, 400),
        ("ann", "/v3beta/kv/range", True, 400),
        ("ann", "/v3/kv/range", False, 200),
        ("", "/v3/kv/range", True, 200),
        ("ann", "/health", True, 200),
    ],
)
async def test_a_certificates_name_is_no_user_at_the_json_gateway(
    name: str, target: str, counts: bool, status: int
) -> None:
    """Where names of certificates are users, one that would be passed over is refused."""
    access = AccessControl(ALL, ALL, lambda: counts)
    request = HttpRequest("POST", target, {}, b"", name)
    assert (await access.guard(served, is_secure=True)(request)).status == status

    async def stream(exchange: HttpExchange) -> None:
        raise AssertionError("not called")

    found = access.guard_streams(lambda head: stream, is_secure=True)
    assert (found(HttpHead("POST", target, {}, name)) is None) == (status == 400)
