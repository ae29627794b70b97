"""etcdserverpb.Watch: many watchers on one stream.

Owns: the requests of a stream (create, cancel, progress) and their life. ``watch_stream`` has the
responses. Must never do: wait for the backend: creating a watcher reads two numbers, history is
read by the server's background steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from google.protobuf.message import DecodeError

from raftkv.api.rpc_pb2 import WatchCreateRequest, WatchRequest
from raftkv.errors import Compacted, MalformedRequest, RaftKVError
from raftkv.mvcc.watcher import WatchSpec
from raftkv.rpc.errors import Code, status_of
from raftkv.rpc.guard import Guard
from raftkv.rpc.member import WatchMember
from raftkv.rpc.stream_admission import admitted_stream, healthy_stream
from raftkv.rpc.watch_stream import WatchStream
from raftkv.wire.service import Service, Stream

FROM_KEY = b"\0"

CheckKeys = Callable[[bytes, bytes], None]
"""Raises when whoever is at the other end may not read all keys of the range."""
_GO_NAMES = {Code.UNAUTHENTICATED: "Unauthenticated", Code.PERMISSION_DENIED: "PermissionDenied"}


def watch_service(member: WatchMember) -> Service:
    async def watch(stream: Stream) -> None:
        await _serve(member, stream)

    streams = {"Watch": admitted_stream(member, healthy_stream(member, watch))}
    return Service("etcdserverpb.Watch", status_of, streams=streams)


async def _serve(member: WatchMember, stream: Stream) -> None:
    outlet = _StreamOutlet(stream)
    watches = WatchStream(member, outlet)
    guard = Guard(member)

    def check_keys(key: bytes, range_end: bytes) -> None:
        guard.check_keys(stream, key, range_end)

    try:
        async for payload in stream:
            if guard.is_up:
                await _known(guard, stream)
            take_request(watches, payload, check_keys)
        # The client has said all, and still watches: etcd, too, goes on until it goes away.
        await asyncio.get_running_loop().create_future()
    finally:
        watches.close()
        outlet.close()


async def _known(guard: Guard, stream: Stream) -> None:
    known: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def proceed(error: RaftKVError | None) -> None:
        if known.done():
            return
        if error is None:
            known.set_result(None)
        else:
            known.set_exception(error)

    guard.when_known(stream, proceed)
    await known


class _StreamOutlet:
    """``watch_stream.Outlet`` over a gRPC stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.send = stream.send
        self.send_each = stream.send_each
        self.peer = stream.peer
        self._draining: asyncio.Task[None] | None = None

    @property
    def backlog(self) -> int:
        return self._stream.backlog

    def when_drained(self, proceed: Callable[[], None]) -> None:
        async def drain() -> None:
            await self._stream.drain()
            proceed()

        self._draining = asyncio.get_running_loop().create_task(drain())

    def close(self) -> None:
        if self._draining is not None:
            self._draining.cancel()


def take_request(watches: WatchStream, payload: bytes, check_keys: CheckKeys) -> None:
    """One message of the client. A request of an unknown kind is ignored, as etcd does."""
    try:
        request = WatchRequest.FromString(payload)
    except DecodeError as e:
        raise MalformedRequest(str(e)) from None
    match request.WhichOneof("request_union"):
        case "create_request":
            _create(watches, request.create_request, check_keys)
        case "cancel_request":
            watches.cancel(request.cancel_request.watch_id)
        case "progress_request":
            watches.answer_progress()


def _create(watches: WatchStream, request: WatchCreateRequest, check_keys: CheckKeys) -> None:
    key, end = request.key or FROM_KEY, request.range_end
    try:
        check_keys(key, end)
    except RaftKVError as refused:
        watches.refuse(_as_go_says(refused))
        return
    if end and end != FROM_KEY and end <= key:
        watches.refuse("mvcc: watcher range is empty")
        return
    if request.start_revision < 0:
        watches.refuse(status_of(Compacted(0)).message)
        return
    if request.watch_id and watches.has(request.watch_id):
        watches.refuse("mvcc: duplicate watch ID provided on the WatchStream")
        return
    spec = WatchSpec(
        key=key,
        range_end=end,
        start_revision=request.start_revision,
        prev_kv=request.prev_kv,
        no_put=WatchCreateRequest.NOPUT in request.filters,
        no_delete=WatchCreateRequest.NODELETE in request.filters,
    )
    watches.create(
        spec,
        request.watch_id,
        fragment=request.fragment,
        progress_notify=request.progress_notify,
    )


def _as_go_says(refused: RaftKVError) -> str:
    """etcd puts the text of a gRPC error there, as Go formats it."""
    status = status_of(refused)
    name = _GO_NAMES.get(Code(status.code), "InvalidArgument")
    return f"rpc error: code = {name} desc = {status.message}"
