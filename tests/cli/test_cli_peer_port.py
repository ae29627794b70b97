"""Questions on the peer port: ids that are none, and the port before there is a member."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from raftkv.cli.peer_port import respond_for
from raftkv.peer import http
from raftkv.peer.http import HttpAnswer, listen_http
from raftkv.peer.sockets import PeerSockets

NOBODY: Any = None


@pytest.mark.parametrize("learner", ["", "-1", "1" * 21, "9" * 5_000, "9" * 20, "\xb2", "a"])
def test_no_member_has_that_id(learner: str) -> None:
    """What is no 64-bit number is not found, and no member is asked."""
    answers: list[HttpAnswer] = []
    respond = respond_for(lambda: NOBODY, lambda path: b"")
    respond("POST", f"/members/promote/{learner}", answers.append)
    assert [answer.status for answer in answers] == [404]


async def test_who_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before there is a member: one connection more than the limit is closed, and one that asks
    nothing is closed after its time."""
    monkeypatch.setattr(http, "WAITING_CONNECTIONS_MAX", 2)
    monkeypatch.setattr(http, "WAITING_TIMEOUT_S", 0.05)
    servers = await listen_http(
        PeerSockets(), ["http://127.0.0.1:0"], lambda method, path, reply: None
    )
    port = servers[0].sockets[0].getsockname()[1]
    lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    async with asyncio.timeout(10):
        for reader, writer in lines:
            with suppress(ConnectionResetError):  # aborted: a reset is an end, too
                assert await reader.read() == b""
            writer.close()
    servers[0].close()
