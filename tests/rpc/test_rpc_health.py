"""The gRPC health service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from fake_member import failure, start

from raftkv.errors import MalformedRequest
from raftkv.rpc.health import Health
from raftkv.wire.service import Status

SERVING, NOT_SERVING, SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"
THE_SERVER = b""
SOMETHING = b"\x0a\x09something"


class FakeStream:
    """A stream with the requests it is given; what is sent arrives in ``sent``."""

    def __init__(self, *requests: bytes) -> None:
        self._requests = requests
        self.metadata: dict[str, str] = {}
        self.deadline: float | None = None
        self.peer = "127.0.0.1:1"
        self.peer_common_name = ""
        self.backlog = 0
        self.sent: asyncio.Queue[bytes] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for request in self._requests:
            yield request

    def send(self, message: bytes) -> None:
        self.sent.put_nowait(message)

    async def drain(self) -> None:
        pass


async def a_turn_of_the_loop() -> None:
    loop = asyncio.get_running_loop()
    turn = loop.create_future()
    loop.call_soon(turn.set_result, None)
    await turn


def test_check_follows_what_the_server_says() -> None:
    """Not serving until told so, and again from the moment it stops."""
    health = Health()
    service = health.service()
    assert start(service, "Check", THE_SERVER).answer == NOT_SERVING
    health.set_serving(True)
    assert start(service, "Check", THE_SERVER).answer == SERVING
    health.set_serving(False)
    assert start(service, "Check", THE_SERVER).answer == NOT_SERVING


def test_check_of_an_unknown_service() -> None:
    """NotFound with grpc-go's words; a name that is no UTF-8 is no message."""
    service = Health().service()
    assert failure(service, "Check", SOMETHING) == Status(5, "unknown service")
    assert failure(service, "Check", b"\x0a\x01\xff").code == 13


async def test_watch_tells_each_change_once() -> None:
    """The present state at once, then one message per change, also when nothing really changed."""
    health = Health()
    stream = FakeStream(THE_SERVER)
    task = asyncio.ensure_future(health.service().streams["Watch"](stream))
    assert await stream.sent.get() == NOT_SERVING
    health.set_serving(True)
    assert await stream.sent.get() == SERVING
    health.set_serving(True)
    await a_turn_of_the_loop()
    health.set_serving(False)
    assert await stream.sent.get() == NOT_SERVING
    assert stream.sent.empty()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert health.watchers == 0


async def test_watch_of_an_unknown_service_stays_open() -> None:
    """The health protocol: it may appear later, so say unknown and wait."""
    health = Health()
    stream = FakeStream(SOMETHING)
    task = asyncio.ensure_future(health.service().streams["Watch"](stream))
    assert await stream.sent.get() == SERVICE_UNKNOWN
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert health.watchers == 0


async def test_watch_without_a_request() -> None:
    """A call that half-closes at once asks for nothing and is refused."""
    with pytest.raises(MalformedRequest):
        await Health().service().streams["Watch"](FakeStream())
