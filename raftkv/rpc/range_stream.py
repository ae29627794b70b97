"""KV.RangeStream (etcd 3.7): one range as a stream of chunks, at one revision.

Owns: the chunks' sizes and their pace. Merged, they are the answer of Range: each has rows, and
the last one the header, ``more`` and ``count`` too. Must never do: hold more than the chunk that
waits for the reader and the one after it, or anything of the database between two chunks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from raftkv.api.rpc_pb2 import RangeRequest
from raftkv.apply.range import query_of
from raftkv.apply.reply import range_reply
from raftkv.apply.state import parse
from raftkv.errors import CustomSortOrder, RaftKVError, RevisionFilters
from raftkv.mvcc.codec import encode_varint
from raftkv.mvcc.query import RangeQuery, RangeResult, SortOrder, SortTarget
from raftkv.mvcc.range_cursor import RangeCursor
from raftkv.rpc.guard import Guard
from raftkv.rpc.header import Headers
from raftkv.rpc.member import KvMember, Proceed
from raftkv.wire.service import Stream

ROWS_AT_FIRST = 10
T = TypeVar("T")


class _Checked(Protocol):
    def __call__(self, produce: Callable[[], T], /) -> Callable[[], T]: ...


class RangeStreamMethod:
    def __init__(self, member: KvMember) -> None:
        self._member = member
        self._headers = Headers(member)
        self._guard = Guard(member)
        self._chunk_bytes = member.config.limits.request_bytes_max

    async def serve(self, stream: Stream) -> None:
        async for payload in stream:
            request = parse(RangeRequest, payload)
            await self._answer(request, stream)
            return

    async def _answer(self, request: RangeRequest, stream: Stream) -> None:
        query = query_of(request)
        check_streamed(query)

        def local(proceed: Proceed) -> None:
            self._guard.read_local(stream, proceed)

        def checked(produce: Callable[[], T]) -> Callable[[], T]:
            """Of each chunk: what is taken back meanwhile ends the stream."""

            def go_on() -> T:
                self._guard.check_keys(stream, query.key, query.range_end)
                return produce()

            return go_on

        begin = local if request.serializable else self._member.linearize
        if query.count_only or not query.range_end:
            stream.send(await _when(begin, checked(lambda: self._whole(query))))
            return
        cursor = await _when(begin, checked(lambda: self._member.store.open_cursor(query)))
        await self._send(cursor, stream, checked)

    def _whole(self, query: RangeQuery) -> bytes:
        """The answer in one message: it cannot be long."""
        result = self._member.store.range(query)
        return _message(range_reply(self._headers.encoder.field(result.revision), result))

    async def _send(self, cursor: RangeCursor, stream: Stream, checked: _Checked) -> None:
        rows_max = ROWS_AT_FIRST
        is_end = False
        while not is_end:
            page = await self._read(
                checked(lambda: cursor.page(rows_max, self._chunk_bytes))  # noqa: B023
            )
            chunk, is_end = b"".join(page.rows), page.is_end
            await stream.drain()
            if is_end:
                while not await self._read(cursor.count_step):
                    pass
                chunk = self._last(cursor, chunk)
            stream.send(_message(chunk))
            rows_max = next_rows_max(rows_max, len(chunk), self._chunk_bytes)

    def _last(self, cursor: RangeCursor, rows: bytes) -> bytes:
        header = self._headers.encoder.field(cursor.revision)
        return range_reply(header, RangeResult((rows,), cursor.count, cursor.more, cursor.revision))

    async def _read(self, produce: Callable[[], T]) -> T:
        await asyncio.sleep(0)  # others have a turn, and what was sent leaves at its end
        return await _when(self._member.read_local, produce)


def check_streamed(query: RangeQuery) -> None:
    """What etcd does not stream. An order of NONE is that of the keys, whatever the target is."""
    if query.sort_order is not SortOrder.NONE and (
        query.sort_target is not SortTarget.KEY or query.sort_order is not SortOrder.ASCEND
    ):
        raise CustomSortOrder("RangeStream does not support custom sort orders")
    if (
        query.min_mod_revision
        or query.max_mod_revision
        or query.min_create_revision
        or query.max_create_revision
    ):
        raise RevisionFilters("RangeStream does not support revision filters")


def next_rows_max(rows_max: int, sent_bytes: int, aim_bytes: int) -> int:
    """etcd's rule: twice as many rows after a chunk below half the aim, half after one above
    twice."""
    if sent_bytes < aim_bytes // 2:
        return rows_max * 2
    if sent_bytes > aim_bytes * 2:
        return max(rows_max // 2, 1)
    return rows_max


async def _when(begin: Callable[[Proceed], None], produce: Callable[[], T]) -> T:
    """What ``produce`` returns when ``begin`` lets it read: within that callback, since the
    database may be busy again once the task has its turn."""
    read: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def proceed(error: RaftKVError | None) -> None:
        if read.done():
            return  # the client went away meanwhile
        if error is not None:
            read.set_exception(error)
            return
        try:
            read.set_result(produce())
        except Exception as failure:  # noqa: BLE001 - it is this stream's, not the loop's
            read.set_exception(failure)

    begin(proceed)
    return await read


def _message(response: bytes) -> bytes:
    """RangeStreamResponse around an encoded RangeResponse."""
    return b"\x0a" + encode_varint(len(response)) + response
