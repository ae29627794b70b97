"""One unary call, at one endpoint after another, and never twice where once is meant.

Owns: retries and the meaning of failures. Must never do: repeat a write that may have happened.
A read may be asked anywhere, again and again. A write is asked again only if it was certainly not
executed: no connection could be made, so that nothing was sent, or its token was refused (jetcd
0.8.2 retried more, and executed twice; Jepsen, 2024). Otherwise the caller gets MaybeExecuted and
decides.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from raftkv.api import rpc_pb2 as api
from raftkv.client.endpoints import Endpoints
from raftkv.client.login import Login, Metadata, is_stale
from raftkv.error_texts import error_of_text
from raftkv.errors import MaybeExecuted, RaftKVError, Unavailable

ReplyT = TypeVar("ReplyT", bound=Message)
T = TypeVar("T")

_AUTHENTICATE = "/etcdserverpb.Auth/Authenticate"
_NEVER_SENT = ("failed to connect to all addresses", "Connection refused")
"""What grpcio says of a call for which no connection could be made."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds of every wait. ``timeout_s`` is for one try, backoff doubles from its minimum."""

    timeout_s: float = 10.0
    tries_max: int = 10
    backoff_min_s: float = 0.05
    backoff_max_s: float = 1.0


class Calls:
    """``pause`` and ``chance`` are where time and chance come from."""

    def __init__(
        self,
        endpoints: Endpoints,
        policy: RetryPolicy,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        login: Login | None = None,
    ) -> None:
        self._login = login
        self._endpoints = endpoints
        self._policy = policy
        self._pause = pause
        self._chance = chance

    async def read(
        self, method: str, request: Message, reply: type[ReplyT], *, at: str = ""
    ) -> ReplyT:
        """May be asked several times. Raises the error that etcd names. ``at``: of this endpoint,
        once, since another one's answer is of no use."""
        if at:
            return await self._only_at(at, method, request, reply)
        return await self._call(method, request, reply, is_write=False)

    async def write(
        self, method: str, request: Message, reply: type[ReplyT], *, at: str = ""
    ) -> ReplyT:
        """Executed at most once. Raises MaybeExecuted when nobody can say whether it was."""
        if at:
            return await self._only_at(at, method, request, reply)
        return await self._call(method, request, reply, is_write=True)

    async def _only_at(
        self, endpoint: str, method: str, request: Message, reply: type[ReplyT]
    ) -> ReplyT:
        async def once(carried: Metadata) -> ReplyT:
            try:
                return await self._once(endpoint, method, request, reply, carried)
            except grpc.aio.AioRpcError as e:
                raise error_of(e) from e

        return await self.signed(once)

    async def signed(self, work: Callable[[Metadata], Awaitable[T]]) -> T:
        """``work`` with the token, and once more with a new one if it was told that it has ended:
        the server says so before anything has happened."""
        carried = await self.metadata()
        try:
            return await work(carried)
        except RaftKVError as error:
            if not await self.renewed(error, carried):
                raise
        return await work(await self.metadata())

    async def _call(
        self, method: str, request: Message, reply: type[ReplyT], *, is_write: bool
    ) -> ReplyT:
        failure: grpc.aio.AioRpcError | None = None
        for attempt in range(self._policy.tries_max):
            if attempt:
                await self.back_off(attempt)
            endpoint, carried = self._endpoints.current, await self.metadata()
            try:
                return await self._once(endpoint, method, request, reply, carried)
            except grpc.aio.AioRpcError as e:
                failure = e
            if await self.renewed(error_of(failure), carried):
                continue
            if not is_transient(failure):
                break
            if is_write and not was_never_sent(failure):
                raise _doubt(failure, endpoint) from failure
            self._endpoints.move_on(endpoint)
        assert failure is not None, "no try was made"
        raise error_of(failure) from failure

    async def metadata(self) -> Metadata:
        """What a call, or a stream, carries: the token of who has logged in."""
        return () if self._login is None else await self._login.metadata(self._authenticate)

    async def renewed(self, error: RaftKVError, carried: Metadata) -> bool:
        """Whether ``error`` was about the token, and there is another one now."""
        if self._login is None or not is_stale(error):
            return False
        await self._login.renew(carried, self._authenticate)
        return True

    async def _authenticate(self) -> str:
        """Raises AuthFailed, and AuthNotEnabled."""
        assert self._login is not None, "nobody is to log in"
        request = api.AuthenticateRequest(name=self._login.user, password=self._login.password)
        failure: grpc.aio.AioRpcError | None = None
        for attempt in range(self._policy.tries_max):
            if attempt:
                await self.back_off(attempt)
            endpoint = self._endpoints.current
            try:
                answer = await self._once(
                    endpoint, _AUTHENTICATE, request, api.AuthenticateResponse, ()
                )
            except grpc.aio.AioRpcError as e:
                failure = e
            else:
                return answer.token
            if not is_transient(failure):
                break
            self._endpoints.move_on(endpoint)
        assert failure is not None, "no try was made"
        raise error_of(failure) from failure

    async def _once(
        self,
        endpoint: str,
        method: str,
        request: Message,
        reply: type[ReplyT],
        metadata: Metadata,
    ) -> ReplyT:
        call: Any = self._endpoints.channel(endpoint).unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
        answer: ReplyT = await call(request, timeout=self._policy.timeout_s, metadata=metadata)
        return answer

    async def pause(self, seconds: float) -> None:
        await self._pause(seconds)

    async def back_off(self, attempt: int) -> None:
        """Wait longer from try to try, by chance within bounds."""
        policy = self._policy
        bound = min(policy.backoff_min_s * 2 ** (attempt - 1), policy.backoff_max_s)
        await self._pause(bound * (0.5 + self._chance() / 2))


def is_transient(error: grpc.aio.AioRpcError) -> bool:
    """Whether another member, or a later time, may give another answer."""
    return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def was_never_sent(error: grpc.aio.AioRpcError) -> bool:
    return error.code() is grpc.StatusCode.UNAVAILABLE and any(
        sign in (error.details() or "") for sign in _NEVER_SENT
    )


def error_of(error: grpc.aio.AioRpcError) -> RaftKVError:
    """The error that the server meant, by etcd's text."""
    text = error.details() or ""
    named = error_of_text(text)
    if named is not None:
        return named
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return Unavailable(text)
    return RaftKVError(f"{error.code().name}: {text}")


def _doubt(error: grpc.aio.AioRpcError, endpoint: str) -> RaftKVError:
    return MaybeExecuted(
        f"{endpoint} did not confirm the write ({error.code().name}: {error.details()}): "
        f"it may have happened or not; it was not repeated"
    )
