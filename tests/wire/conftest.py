"""Servers on loopback, and the means to speak to them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from grpc import aio

from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import Listener, listen
from raftkv.wire.service import HttpRequest, HttpResponse
from tests.wire.services import Held, make_service


async def http_echo(request: HttpRequest) -> HttpResponse:
    """Says what it was asked."""
    if request.target == "/fail":
        raise RuntimeError("a handler's bug")
    if request.target == "/big":
        return HttpResponse(200, b"b" * 3_000_000)
    text = f"{request.method} {request.target} {len(request.body)}\n"
    return HttpResponse(200, text.encode(), headers={"x-host": request.headers.get("host", "")})


@pytest.fixture
def limits() -> WireLimits:
    return WireLimits()


@pytest.fixture
async def held() -> Held:
    return Held()


@pytest.fixture
async def listener(held: Held, limits: WireLimits) -> AsyncIterator[Listener]:
    listener = await listen([make_service(held)], http_echo, ("127.0.0.1", 0), limits)
    yield listener
    await listener.close(grace_seconds=0)


@pytest.fixture
async def channel(listener: Listener) -> AsyncIterator[aio.Channel]:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with aio.insecure_channel(f"127.0.0.1:{listener.port}", options=options) as channel:
        yield channel
