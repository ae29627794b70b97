"""Calls of one client on one member, over real gRPC.

Owns: MemberClient, one channel. Must never do: retry: grpcio's own, transparent retries are off
too, so that one operation of a history is one request on the wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Protocol, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from jepsen_like.client.codec import decode, encode, method_of
from jepsen_like.client.errors import outcome_of
from jepsen_like.history.request import KeepAlive, Request
from jepsen_like.history.result import Outcome, Unknown
from raftkv.api import rpc_pb2 as pb

ReplyT = TypeVar("ReplyT", bound=Message)

_OPTIONS = [
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 250),
]


class Stream(Protocol):
    """A bidirectional stream, as far as it is used here."""

    async def write(self, message: Message) -> None: ...
    async def read(self) -> object: ...
    def cancel(self) -> bool: ...


class MemberClient:
    """An async context manager; ``timeout_s`` bounds every call but a stream's."""

    def __init__(self, endpoint: str, timeout_s: float) -> None:
        self.endpoint = endpoint
        self.timeout_s = timeout_s
        self._channel = grpc.aio.insecure_channel(endpoint, options=_OPTIONS)

    async def __aenter__(self) -> MemberClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

    async def ask(self, request: Request) -> Outcome:
        """An answer, or what the error says of the request."""
        method = method_of(request)
        message = encode(request)
        try:
            if isinstance(request, KeepAlive):
                return decode(await self._exchange(method.path, message, method.answer))
            return decode(await self.unary(method.path, message, method.answer))
        except grpc.aio.AioRpcError as e:
            return outcome_of(e.code().name, e.details() or "")
        except TimeoutError:
            return Unknown("DEADLINE_EXCEEDED", f"no message within {self.timeout_s:g} s")

    async def unary(
        self, path: str, message: Message, reply: type[ReplyT], timeout_s: float = 0.0
    ) -> ReplyT:
        """Raises AioRpcError."""
        call = self._channel.unary_unary(
            path,
            request_serializer=_serialize,
            response_deserializer=cast(Callable[[bytes], ReplyT], reply.FromString),
        )
        answer: ReplyT = await call(message, timeout=timeout_s or self.timeout_s)
        return answer

    @asynccontextmanager
    async def stream(self, path: str, reply: type[Message]) -> AsyncIterator[Stream]:
        """A stream that is cancelled in the end. Its calls raise AioRpcError."""
        call = self._channel.stream_stream(
            path, request_serializer=_serialize, response_deserializer=reply.FromString
        )
        opened = cast(Stream, call())
        try:
            yield opened
        finally:
            opened.cancel()

    async def status(self, timeout_s: float = 0.0) -> pb.StatusResponse:
        path = "/etcdserverpb.Maintenance/Status"
        return await self.unary(path, pb.StatusRequest(), pb.StatusResponse, timeout_s)

    async def hash_kv(self, revision: int = 0) -> pb.HashKVResponse:
        path = "/etcdserverpb.Maintenance/HashKV"
        return await self.unary(path, pb.HashKVRequest(revision=revision), pb.HashKVResponse)

    async def _exchange(self, path: str, message: Message, reply: type[Message]) -> Message:
        async with self.stream(path, reply) as stream, asyncio.timeout(self.timeout_s):
            await stream.write(message)
            got = await stream.read()
            if not isinstance(got, Message):
                raise TimeoutError("the member ended the stream without an answer")
            return got


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
