"""Unary calls that wait for other clients, perhaps for ever.

Owns: the task of each, ended when its client goes away, their number, and what is left to do after
such an end. Must never do: wait without a client that wants the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from raftkv.errors import RaftKVError, TooManyRequests
from raftkv.log_fields import fields
from raftkv.rpc.errors import status_of
from raftkv.wire.service import UnaryCall, UnaryMethod

log = logging.getLogger("raftkv.rpc")

WAITING_MAX = 10_000
"""Calls of one service that wait at once; the next is refused."""

WaitingMethod = Callable[[bytes, UnaryCall], Awaitable[bytes]]


class WaitingCalls:
    def __init__(self, waiting_max: int = WAITING_MAX) -> None:
        self._waiting_max = waiting_max
        self._tasks: set[asyncio.Task[None]] = set()
        self._duties: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        return len(self._tasks)

    def serve(self, method: WaitingMethod) -> UnaryMethod:
        """``method`` as a unary method; its task is cancelled when the client goes."""

        def start(payload: bytes, call: UnaryCall) -> None:
            if len(self._tasks) >= self._waiting_max:
                raise TooManyRequests(f"{len(self._tasks)} calls wait, the limit")
            task = asyncio.get_running_loop().create_task(_answer(method, payload, call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            call.when_cancelled(task.cancel)

        return start

    def afterwards(self, duty: Callable[[], Awaitable[object]]) -> None:
        """Do this though the call that it belongs to has ended."""
        task = asyncio.get_running_loop().create_task(_do(duty))
        self._duties.add(task)
        task.add_done_callback(self._duties.discard)


async def _answer(method: WaitingMethod, payload: bytes, call: UnaryCall) -> None:
    try:
        reply = await method(payload, call)
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - one call's failure must not reach the next call
        call.fail(status_of(error))
    else:
        call.reply(reply)


async def _do(duty: Callable[[], Awaitable[object]]) -> None:
    try:
        await duty()
    except RaftKVError as error:
        log.info("what a waiter left stays until its lease ends", extra=fields(error=str(error)))
