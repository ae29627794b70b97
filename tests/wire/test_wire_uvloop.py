"""The tests of the other files once more on uvloop, the loop that members use.

uvloop's transports buffer, pause and close in ways of their own, and its clock counts whole
milliseconds, so what holds on asyncio's loop is not known to hold there.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import pytest
import uvloop
from grpc import aio

from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import listen
from tests.wire import test_wire_calls, test_wire_http1, test_wire_sockets
from tests.wire.conftest import http_echo
from tests.wire.services import Held, make_service

Scenario = Callable[..., Awaitable[None]]


def scenarios(module: ModuleType) -> list[Scenario]:
    """The module's async tests that need no more than a server and a channel."""
    found = []
    for name, function in vars(module).items():
        if not name.startswith("test_") or not inspect.iscoroutinefunction(function):
            continue
        if set(inspect.signature(function).parameters) <= {"listener", "channel", "held", "limits"}:
            found.append(function)
    assert found, f"no scenarios in {module.__name__}"
    return found


async def play(scenario: Scenario, limits: WireLimits) -> None:
    held = Held()
    listener = await listen([make_service(held)], http_echo, ("127.0.0.1", 0), limits)
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with aio.insecure_channel(f"127.0.0.1:{listener.port}", options) as channel:
        given: dict[str, Any] = {
            "listener": listener,
            "channel": channel,
            "held": held,
            "limits": limits,
        }
        wanted = inspect.signature(scenario).parameters
        async with asyncio.timeout(60):
            await scenario(**{name: given[name] for name in wanted})
    await listener.close(0)


CASES = [
    pytest.param(scenario, limits, id=f"{module.__name__.rpartition('_')[2]}-{scenario.__name__}")
    for module, limits in (
        (test_wire_calls, WireLimits()),
        (test_wire_sockets, WireLimits()),
        (test_wire_http1, WireLimits(http_body_bytes_max=1000, http_request_seconds_max=0.3)),
    )
    for scenario in scenarios(module)
]


@pytest.mark.parametrize(("scenario", "limits"), CASES)
def test_on_uvloop(scenario: Scenario, limits: WireLimits) -> None:
    """The scenario holds on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play(scenario, limits))
