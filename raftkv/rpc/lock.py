"""v3lockpb.Lock: Lock and Unlock.

Owns: the two calls. A lock is the first place of a line; its key's create_revision is the fencing
token. Must never do: keep a lock in memory: it is a key with a lease, and dies with that.
"""

from __future__ import annotations

from raftkv.api import rpc_pb2 as api
from raftkv.api import v3lock_pb2 as lock_api
from raftkv.apply.state import parse
from raftkv.rpc.errors import status_of
from raftkv.rpc.line import Line, session
from raftkv.rpc.member import Led
from raftkv.rpc.own_calls import OwnCalls
from raftkv.rpc.unary import admitted
from raftkv.rpc.waiting_calls import WaitingCalls
from raftkv.wire.service import Service, UnaryCall


def lock_service(member: Led, own: OwnCalls) -> Service:
    waiting = WaitingCalls()
    lock = _Lock(own, waiting)
    methods = {"Lock": waiting.serve(lock.lock), "Unlock": waiting.serve(lock.unlock)}
    return Service("v3lockpb.Lock", status_of, unary=admitted(member, methods))


class _Lock:
    def __init__(self, own: OwnCalls, waiting: WaitingCalls) -> None:
        self._own = own
        self._waiting = waiting

    async def lock(self, payload: bytes, call: UnaryCall) -> bytes:
        request = parse(lock_api.LockRequest, payload)
        caller = self._own.on_behalf_of(call)
        async with session(caller, request.lease, self._waiting) as lease:
            line = Line(caller, request.name, lease)
            try:
                place = await line.enter(b"")
                header = place.header if place.is_first else await line.wait(place)
            except BaseException:
                self._waiting.afterwards(line.leave)
                raise
        return lock_api.LockResponse(header=header, key=line.key).SerializeToString()

    async def unlock(self, payload: bytes, call: UnaryCall) -> bytes:
        """As in etcd, whoever knows the key may unlock."""
        request = parse(lock_api.UnlockRequest, payload)
        delete = api.DeleteRangeRequest(key=request.key)
        done = await self._own.on_behalf_of(call).delete(delete)
        return lock_api.UnlockResponse(header=done.header).SerializeToString()
