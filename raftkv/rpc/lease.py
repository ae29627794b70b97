"""etcdserverpb.Lease: grant, revoke, keep-alive, time-to-live and the list.

Owns: the choice of a lease's id and of its TTL, which the log then has, and the checks before it.
Must never do: count time; ``raftkv.lease`` does, on the leader.
"""

from __future__ import annotations

import asyncio

from raftkv.api.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseLeasesRequest,
    LeaseLeasesResponse,
    LeaseRevokeRequest,
    LeaseStatus,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from raftkv.apply.batch import RequestKind
from raftkv.apply.cost import LEASE_BYTES
from raftkv.apply.state import parse
from raftkv.errors import LeaseTTLTooLarge, NoSpace, RaftKVError
from raftkv.rpc.errors import status_of
from raftkv.rpc.guard import Guard
from raftkv.rpc.header import Headers
from raftkv.rpc.keep_alives import KeepAlives
from raftkv.rpc.member import LeaseMember
from raftkv.rpc.stream_admission import admitted_stream
from raftkv.rpc.unary import admitted, answer, fail_with, read_for, reply_to
from raftkv.server.leasing import TimeLeft
from raftkv.wire.service import Service, Stream, UnaryCall

TTL_MAX_S = 9_000_000_000
ID_MAX = (1 << 63) - 1
UNANSWERED_MAX = 1_000
"""Keep-alives of one stream that wait at once; more stay unread."""


def lease_service(member: LeaseMember) -> Service:
    lease = _Leases(member)
    methods = {
        "LeaseGrant": lease.grant,
        "LeaseRevoke": lease.revoke,
        "LeaseTimeToLive": lease.time_to_live,
        "LeaseLeases": lease.leases,
    }

    async def keep_alive(stream: Stream) -> None:
        await _keep_alive(member, stream)

    return Service(
        "etcdserverpb.Lease",
        status_of,
        unary=admitted(member, methods),
        streams={"LeaseKeepAlive": admitted_stream(member, keep_alive)},
    )


async def _keep_alive(member: LeaseMember, stream: Stream) -> None:
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answered = asyncio.Event()

    def send(message: bytes) -> None:
        stream.send(message)
        answered.set()

    def fail(error: RaftKVError) -> None:
        if not failed.done():
            failed.set_exception(error)

    keep_alives = KeepAlives(member, stream, send, fail)

    async def serve() -> None:
        async for payload in stream:
            keep_alives.take_request(payload)
            while keep_alives.unanswered >= UNANSWERED_MAX:
                answered.clear()
                await answered.wait()
            await stream.drain()
        while keep_alives.unanswered:  # the client has said all, and still wants its answers
            answered.clear()
            await answered.wait()

    serving = asyncio.ensure_future(serve())
    try:
        await asyncio.wait((serving, failed), return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
        serving.result()
    finally:
        keep_alives.close()
        serving.cancel()
        failed.cancel()


class _Leases:
    def __init__(self, member: LeaseMember) -> None:
        self._member = member
        self._headers = Headers(member)
        self._guard = Guard(member)
        self._ttl_min_s = member.config.lease_ttl_min_s

    def grant(self, payload: bytes, call: UnaryCall) -> None:
        """Who asks comes before what is wrong with the TTL: etcd looks at that when it applies."""
        request = parse(LeaseGrantRequest, payload)

        def too_large() -> None:
            raise LeaseTTLTooLarge(f"{request.TTL} s, the limit is {TTL_MAX_S} s")

        if request.TTL > TTL_MAX_S:
            self._guard.as_user(call, too_large, fail_with(call))
            return
        if not self._member.has_room(LEASE_BYTES):
            raise NoSpace("the database has reached its quota")
        request.TTL = max(request.TTL, self._ttl_min_s)
        request.ID = request.ID or self._fresh_id()
        chosen = request.SerializeToString()
        self._guard.propose(RequestKind.LEASE_GRANT, chosen, call, reply_to(call))

    def revoke(self, payload: bytes, call: UnaryCall) -> None:
        parse(LeaseRevokeRequest, payload)
        self._guard.propose(RequestKind.LEASE_REVOKE, payload, call, reply_to(call))

    def time_to_live(self, payload: bytes, call: UnaryCall) -> None:
        """The leader's clock knows the time; the keys are read here, after a round of their own,
        and shown to who may read them all."""
        request = parse(LeaseTimeToLiveRequest, payload)

        def with_keys(left: TimeLeft) -> bytes:
            self._guard.requests.lease_read(self._guard.caller(call), request.ID)
            return self._time_to_live(request.ID, left, keys=True)

        def told(left: TimeLeft | RaftKVError) -> None:
            if isinstance(left, RaftKVError):
                call.fail(status_of(left))
            elif request.keys and left.remaining_s >= 0:
                self._member.linearize(read_for(call, lambda: with_keys(left)))
            else:
                answer(call, lambda: self._time_to_live(request.ID, left, keys=False))

        def ask() -> None:
            self._member.leases.time_left(request.ID, told)

        self._guard.as_user(call, ask, fail_with(call))

    def leases(self, payload: bytes, call: UnaryCall) -> None:
        """Nothing is left out of the list for want of a permission: it is refused as a whole."""
        parse(LeaseLeasesRequest, payload)

        def produce() -> bytes:
            ids = self._member.leases.ids()
            caller = self._guard.caller(call)
            self._guard.may.is_user(caller)
            for lease_id in ids:
                self._guard.requests.lease_read(caller, lease_id)
            return LeaseLeasesResponse(
                header=self._headers.message(self._member.store.current_revision),
                leases=[LeaseStatus(ID=lease_id) for lease_id in ids],
            ).SerializeToString()

        self._member.linearize(read_for(call, produce))

    def _time_to_live(self, lease_id: int, left: TimeLeft, *, keys: bool) -> bytes:
        book = self._member.leases.book
        return LeaseTimeToLiveResponse(
            header=self._headers.message(self._member.store.current_revision),
            ID=lease_id,
            TTL=left.remaining_s,
            grantedTTL=left.granted_s,
            keys=book.keys(lease_id) if keys else (),
        ).SerializeToString()

    def _fresh_id(self) -> int:
        """A positive int63 that no lease has here. Another may get it before this one is applied:
        then one of the two grants is refused as any other duplicate."""
        while True:
            chosen = 1 + self._member.random.randrange(ID_MAX)
            if not self._member.leases.book.exists(chosen):
                return chosen
