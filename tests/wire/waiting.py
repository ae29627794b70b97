"""Waiting for a condition, with a deadline and without naps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from raftkv.wire.listener import Listener

Kind = TypeVar("Kind")


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Let the loop turn until ``condition`` holds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the condition is the server's, no event of ours
            await asyncio.sleep(0)


async def speaking(listener: Listener, kind: type[Kind]) -> Kind:
    """The server's end of its only connection, once that speaks the protocol ``kind``."""

    def found() -> list[Kind]:
        return [c for c in listener._hub.conversations if isinstance(c, kind)]

    await until(found)
    (conversation,) = found()
    return conversation
