"""Renewals of all kept leases of a client, on one stream.

Owns: the LeaseKeepAlive stream, its life while there are leases, and its moves to other members. A
lease is renewed after a third of its TTL; a renewal without an answer for another third makes the
keeper go elsewhere. Must never do: let one lease that has ended disturb the others.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from raftkv.api import rpc_pb2 as api
from raftkv.client.calls import Calls, error_of, is_transient
from raftkv.client.endpoints import Endpoints
from raftkv.client.lease import KeptLease
from raftkv.client.login import Metadata
from raftkv.errors import LeaseNotFound, RaftKVError, Unavailable

KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"


class LeaseKeeper:
    def __init__(self, endpoints: Endpoints, calls: Calls) -> None:
        self._endpoints = endpoints
        self._calls = calls
        self._leases: dict[int, KeptLease] = {}
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def add(self, lease: KeptLease) -> None:
        self._leases[lease.id] = lease
        self._changed.set()
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run())

    def discard(self, lease: KeptLease) -> None:
        if self._leases.get(lease.id) is lease:
            del self._leases[lease.id]
            self._changed.set()

    async def close(self) -> None:
        self._leases.clear()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        failures = 0
        while self._leases:
            endpoint = self._endpoints.current
            stream = _Stream(endpoint, self._leases, self._changed)
            carried: Metadata = ()
            try:
                carried = await self._calls.metadata()
                await stream.serve(open_stream(self._endpoints, endpoint, carried))
            except Unavailable:
                failures = 1 if stream.answers else failures + 1
                self._endpoints.move_on(endpoint)
                self._drop_lost()
                await self._calls.back_off(failures)
            except RaftKVError as error:
                if await self._calls.renewed(error, carried):
                    continue
                for lease in self._leases.values():
                    lease.lose(error)
            self._drop_lost()

    def _drop_lost(self) -> None:
        now = asyncio.get_running_loop().time()
        for lease in list(self._leases.values()):
            if not lease.check(now):
                self.discard(lease)


class _Stream:
    """One stream at one member. ``serve`` returns when there is no lease left, and raises
    Unavailable when another member may do better."""

    def __init__(self, endpoint: str, leases: dict[int, KeptLease], changed: asyncio.Event) -> None:
        self._endpoint = endpoint
        self._leases = leases
        self._changed = changed
        self.answers = 0

    async def serve(self, call: Any) -> None:
        self._call = call
        now = asyncio.get_running_loop().time()
        for lease in self._leases.values():
            lease.begin_again(now)
        reading = asyncio.ensure_future(self._read())
        writing = asyncio.ensure_future(self._write())
        try:
            await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
            for task in (writing, reading):
                if task.done():
                    task.result()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as e:
            raise _meaning(e, self._endpoint) from e
        finally:
            reading.cancel()
            writing.cancel()
            self._call.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)

    async def _read(self) -> None:
        while isinstance(answer := await self._call.read(), api.LeaseKeepAliveResponse):
            self.answers += 1
            lease = self._leases.get(answer.ID)
            if lease is None:
                continue  # nobody keeps it any more
            if answer.TTL:
                lease.renewed(answer.TTL)
            else:
                lease.lose(LeaseNotFound(f"lease {lease.id:x} has ended"))
                del self._leases[lease.id]
            self._changed.set()
        raise Unavailable(f"{self._endpoint} ended the stream")

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._leases:
            now = loop.time()
            for lease in list(self._leases.values()):
                await self._attend(lease, now)
            self._changed.clear()
            if not self._leases:
                return
            try:
                async with asyncio.timeout_at(min(one.wakes_at for one in self._leases.values())):
                    await self._changed.wait()
            except TimeoutError:
                continue  # a lease is due

    async def _attend(self, lease: KeptLease, now: float) -> None:
        if not lease.check(now):
            del self._leases[lease.id]
        elif lease.asked_at is not None:
            if now >= lease.asked_at + lease.patience_s:
                raise Unavailable(f"{self._endpoint} renews nothing")
        elif now >= lease.next_renewal:
            lease.asked(now)
            await self._call.write(api.LeaseKeepAliveRequest(ID=lease.id))


def open_stream(endpoints: Endpoints, endpoint: str, metadata: Metadata) -> Any:
    return endpoints.channel(endpoint).stream_stream(
        KEEP_ALIVE,
        request_serializer=api.LeaseKeepAliveRequest.SerializeToString,
        response_deserializer=api.LeaseKeepAliveResponse.FromString,
    )(metadata=metadata)


def _meaning(error: grpc.aio.AioRpcError | asyncio.InvalidStateError, endpoint: str) -> RaftKVError:
    """An InvalidStateError is a call that ended before the request was written."""
    if isinstance(error, asyncio.InvalidStateError):
        return Unavailable(f"{endpoint} ended the stream at once")
    lasting = not is_transient(error) and error.code() is not grpc.StatusCode.CANCELLED
    return error_of(error) if lasting else Unavailable(error.details())


async def renew_once(
    endpoints: Endpoints, lease_id: int, patience_s: float, metadata: Metadata = ()
) -> api.LeaseKeepAliveResponse:
    """Its TTL is what the lease has again, 0 when there is none. Raises Unavailable when asking
    again may help, and otherwise the error that etcd names."""
    endpoint = endpoints.current
    call = open_stream(endpoints, endpoint, metadata)
    try:
        async with asyncio.timeout(patience_s):
            await call.write(api.LeaseKeepAliveRequest(ID=lease_id))
            answer = await call.read()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as e:
        raise _meaning(e, endpoint) from e
    except TimeoutError as e:
        raise Unavailable(f"{endpoint} did not answer in {patience_s:g} s") from e
    finally:
        call.cancel()
    if not isinstance(answer, api.LeaseKeepAliveResponse):
        raise Unavailable(f"{endpoint} ended the stream without an answer")
    return answer
