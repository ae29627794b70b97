"""A lease that is renewed in the background for as long as it is held.

Owns: KeptLease, its renewals and the moment it is lost. Must never do: take silence for renewal:
when no answer has come for a whole TTL since the last renewal was *sent*, the lease counts as lost,
whatever the server still knows.

    async with client.keep_alive(await client.grant(10)) as lease:
        await client.put("mine", "yes", lease=lease.id)
        why = await lease.lost()
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

import grpc

from raftkv.api import rpc_pb2 as api
from raftkv.client.calls import Calls, error_of, is_transient
from raftkv.client.endpoints import Endpoints
from raftkv.client.login import Metadata
from raftkv.errors import LeaseNotFound, RaftKVError, RequestTimeout, Unavailable

KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
RENEWALS_PER_TTL = 3


class KeptLease:
    """Use it as an async context manager: the renewals end with it, the lease itself does not."""

    def __init__(self, endpoints: Endpoints, calls: Calls, lease_id: int, ttl_s: int) -> None:
        self.id = lease_id
        self.ttl_s = ttl_s
        self._endpoints = endpoints
        self._calls = calls
        self._good_until = asyncio.get_running_loop().time() + ttl_s
        self._lost: asyncio.Future[RaftKVError] = asyncio.get_running_loop().create_future()
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> KeptLease:
        self._renewing = asyncio.ensure_future(self._renew())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])

    @property
    def is_lost(self) -> bool:
        """Whether somebody else may hold what this lease held."""
        return self._lost.done() or asyncio.get_running_loop().time() >= self._good_until

    async def lost(self) -> RaftKVError:
        """Wait until the lease is lost; why."""
        return await asyncio.shield(self._lost)

    async def _renew(self) -> None:
        failures = 0
        try:
            while True:
                endpoint = self._endpoints.current
                if await self._renew_at(endpoint):
                    failures = 0
                    await self._calls.pause(self.ttl_s / RENEWALS_PER_TTL)
                else:
                    failures += 1
                    self._endpoints.move_on(endpoint)
                    await self._calls.back_off(failures)
        except RaftKVError as error:
            self._lost.set_result(error)

    async def _renew_at(self, endpoint: str) -> bool:
        """False when another endpoint, or a later time, may do better. Raises what ends it."""
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        if sent_at >= self._good_until:
            raise RequestTimeout(f"lease {self.id:x} was not renewed within its TTL")
        try:
            patience_s = min(self._good_until - sent_at, self.ttl_s / RENEWALS_PER_TTL)
            async with asyncio.timeout(patience_s):
                carried = await self._calls.metadata()
                ttl_s = await renew_once(self._endpoints, endpoint, self.id, carried)
        except (TimeoutError, Unavailable):
            return False
        except RaftKVError as error:
            if await self._calls.renewed(error, carried):
                return False
            raise
        if not ttl_s:
            raise LeaseNotFound(f"lease {self.id:x} has ended")
        self.ttl_s, self._good_until = ttl_s, sent_at + ttl_s
        return True


async def renew_once(
    endpoints: Endpoints, endpoint: str, lease_id: int, metadata: Metadata = ()
) -> int:
    """The TTL that the lease has again; 0 when there is none. Raises Unavailable when asking again
    may help, and otherwise the error that etcd names."""
    call: Any = endpoints.channel(endpoint).stream_stream(
        KEEP_ALIVE,
        request_serializer=api.LeaseKeepAliveRequest.SerializeToString,
        response_deserializer=api.LeaseKeepAliveResponse.FromString,
    )(metadata=metadata)
    try:
        await call.write(api.LeaseKeepAliveRequest(ID=lease_id))
        answer = await call.read()
    except grpc.aio.AioRpcError as e:
        raise (Unavailable(e.details()) if is_transient(e) else error_of(e)) from e
    except asyncio.InvalidStateError as e:  # the call ended before the request was written
        raise Unavailable(f"{endpoint} ended the stream at once") from e
    finally:
        call.cancel()
    if not isinstance(answer, api.LeaseKeepAliveResponse):
        raise Unavailable(f"{endpoint} ended the stream without an answer")
    return answer.TTL
