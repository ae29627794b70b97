"""The reference mount: the same ``Service`` values on grpcio's own asyncio server.

What raftkv's wire answers can be compared with what this answers, byte for byte.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import grpc
from grpc import aio

from raftkv.wire.service import SendsEach, Service, Status, StreamMethod, UnaryMethod

_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def _metadata(context: Any) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in context.invocation_metadata():
        if isinstance(value, bytes):
            value = base64.b64encode(value).decode().rstrip("=")
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


class _Call:
    def __init__(self, context: Any) -> None:
        self._context = context
        self.metadata = _metadata(context)
        left = context.time_remaining()
        now = asyncio.get_running_loop().time()
        self.deadline = None if left is None else now + left
        self.peer = context.peer().removeprefix("ipv4:")
        self.peer_common_name = ""

    async def _abort(self, status: Status) -> None:
        await self._context.abort(_CODES[status.code], status.message)


class _Unary(_Call):
    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self.outcome: asyncio.Future[bytes | Status] = asyncio.get_running_loop().create_future()

    @property
    def cancelled(self) -> bool:
        return self.outcome.cancelled()

    def when_cancelled(self, proceed: Callable[[], object]) -> None:
        def ended(outcome: asyncio.Future[bytes | Status]) -> None:
            if outcome.cancelled():
                proceed()

        self.outcome.add_done_callback(ended)

    def reply(self, message: bytes) -> None:
        if not self.outcome.done():
            self.outcome.set_result(message)

    def reply_in_pieces(self, pieces: Sequence[bytes]) -> None:
        self.reply(b"".join(pieces))

    def fail(self, status: Status) -> None:
        if not self.outcome.done():
            self.outcome.set_result(status)


class _Stream(_Call, SendsEach):
    def __init__(self, requests: AsyncIterator[bytes], context: Any) -> None:
        super().__init__(context)
        self._requests = requests
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._empty = asyncio.Event()
        self.backlog = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._requests.__aiter__()

    def send(self, message: bytes) -> None:
        self.backlog += len(message)
        self._queue.put_nowait(message)

    async def drain(self) -> None:
        while self.backlog:
            self._empty.clear()
            await self._empty.wait()

    async def write_out(self) -> None:
        while (message := await self._queue.get()) is not None:
            await self._context.write(message)
            self.backlog -= len(message)
            self._empty.set()

    def end(self) -> None:
        self._queue.put_nowait(None)


def _unary(service: Service, method: UnaryMethod) -> grpc.RpcMethodHandler:
    async def serve(request: bytes, context: Any) -> bytes:
        call = _Unary(context)
        try:
            method(request, call)
        except Exception as error:  # noqa: BLE001 - as the wire does
            call.fail(service.status_of(error))
        outcome = await call.outcome
        if isinstance(outcome, bytes):
            return outcome
        await context.abort(_CODES[outcome.code], outcome.message)
        raise AssertionError("abort raises")

    return grpc.unary_unary_rpc_method_handler(serve)


def _stream(service: Service, method: StreamMethod) -> grpc.RpcMethodHandler:
    async def serve(requests: AsyncIterator[bytes], context: Any) -> None:
        stream = _Stream(requests, context)
        writer = asyncio.create_task(stream.write_out())
        status = Status(0)
        try:
            await method(stream)
        except Exception as error:  # noqa: BLE001 - as the wire does
            status = service.status_of(error)
        finally:
            stream.end()
            with contextlib.suppress(aio.UsageError):
                await writer
        if status.code:
            await context.abort(_CODES[status.code], status.message)

    return grpc.stream_stream_rpc_method_handler(serve)


async def start(services: Sequence[Service], message_bytes_max: int) -> tuple[aio.Server, int]:
    """A running grpcio server on a free loopback port, and that port."""
    server = aio.server(options=[("grpc.max_receive_message_length", message_bytes_max)])
    for service in services:
        handlers = {name: _unary(service, method) for name, method in service.unary.items()}
        handlers |= {name: _stream(service, method) for name, method in service.streams.items()}
        generic = grpc.method_handlers_generic_handler(service.name, handlers)
        server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port
