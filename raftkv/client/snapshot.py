"""A member's database as a file that can be kept.

Owns: the stream's checks: every byte came, and the SHA-256 at its end is theirs; and taking a
broken stream up where it was. Must never do: leave something under the final name that is not
whole, durable and checked.

A raftkv member keeps an image for a while by the name that the client gave it in the metadata, and
says in the first message where it goes on. etcd says nothing: there a broken stream begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from raftkv.api import rpc_pb2 as api
from raftkv.client.calls import error_of, is_transient
from raftkv.client.login import Metadata
from raftkv.errors import Corrupt, RaftKVError, Unavailable

SILENCE_MAX_S = 120.0
"""How long the member may take to the first piece, and from one to the next."""
IMAGE_KEY = "raftkv-snapshot-image"
OFFSET_KEY = "raftkv-snapshot-offset"
TRIES_MAX = 8
"""In a row, without a byte that is new."""
DIGEST_BYTES = 32
BATCH_BYTES = 1 << 20
"""What is hashed and written at a time, on a thread."""

Progress = Callable[[int, int], None]
Pause = Callable[[float], Awaitable[None]]


def _nothing(path: str) -> None: ...


@dataclass(frozen=True, slots=True)
class SaveOptions:
    """``check`` is called, on a thread, with the path of the whole file before it gets its name;
    what it raises is raised, and the file goes. ``rate_bytes_s`` 0 is no limit."""

    progress: Progress = lambda came, size: None
    check: Callable[[str], None] = _nothing
    rate_bytes_s: float = 0.0
    resumed: Callable[[int], None] = lambda offset: None


async def pieces(
    channel: grpc.aio.Channel, metadata: Metadata = ()
) -> AsyncIterator[api.SnapshotResponse]:
    """The stream as it comes. Raises grpc's error."""
    call: Any = channel.unary_stream(
        "/etcdserverpb.Maintenance/Snapshot",
        request_serializer=api.SnapshotRequest.SerializeToString,
        response_deserializer=api.SnapshotResponse.FromString,
    )(api.SnapshotRequest(), metadata=metadata)
    try:
        while True:
            async with asyncio.timeout(SILENCE_MAX_S):
                message = await call.read()
            if message is grpc.aio.EOF:
                return
            yield message
    finally:
        call.cancel()


async def save(
    channel: grpc.aio.Channel,
    path: str,
    options: SaveOptions,
    metadata: Metadata = (),
    *,
    pause: Pause = asyncio.sleep,
    back_off: Callable[[int], Awaitable[None]],
) -> int:
    """Save to ``path`` by way of ``path.part``; the file's size. Raises Corrupt for a stream whose
    checksum is wrong, and the error that etcd names once TRIES_MAX tries brought nothing new."""
    receiving = _Receiving(_PartFile(path), options, pause)
    try:
        size = await receiving.all_of(channel, metadata, back_off)
        await asyncio.to_thread(receiving.file.finish, options.check)
    except BaseException:
        receiving.file.discard()
        raise
    return size


class _Receiving:
    """One file, by as many streams as it takes."""

    def __init__(self, file: _PartFile, options: SaveOptions, pause: Pause) -> None:
        self.file = file
        self._options = options
        self._pace = _Pace(options.rate_bytes_s, pause)
        self._image = secrets.token_hex(16)
        self._is_kept = False
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.came = 0
        self._digest = hashlib.sha256()
        self._batch = bytearray()
        self._last = b""  # the checksum is not part of what it is of: one message is held back
        self._is_digest = False
        self.file.cut(0)

    async def all_of(
        self,
        channel: grpc.aio.Channel,
        metadata: Metadata,
        back_off: Callable[[int], Awaitable[None]],
    ) -> int:
        failures = 0
        while True:
            before = self.came
            try:
                await self._stream(channel, metadata)
                break
            except (grpc.aio.AioRpcError, TimeoutError) as e:
                failures = 1 if self.came > before else failures + 1
                if failures >= TRIES_MAX or not _may_pass(e):
                    raise _named(e) from e
            self._forget_half()
            await back_off(failures)
        await asyncio.to_thread(self._write_batch)
        if self._last != self._digest.digest():
            raise Corrupt(
                f"the snapshot's checksum is wrong after {self.came} bytes: it is not whole; "
                "save it again"
            )
        self.file.write(self._last)
        return self.came

    async def _stream(self, channel: grpc.aio.Channel, metadata: Metadata) -> None:
        asked = self.came if self._is_kept else 0
        named = ((IMAGE_KEY, self._image), (OFFSET_KEY, str(asked)))
        is_first = True
        async for message in pieces(channel, (*metadata, *named)):
            if is_first:
                self._place(message)
                is_first = False
            self._take(message)
            if len(self._batch) >= BATCH_BYTES:
                await asyncio.to_thread(self._write_batch)
            await self._pace.wait(len(message.blob))

    def _place(self, first: api.SnapshotResponse) -> None:
        """Where this stream begins: where the last one broke, or at the start."""
        self._is_kept = first.raftkv_image == self._image
        if self._is_kept and self.came and first.raftkv_offset == self.came:
            self._options.resumed(self.came)
            return
        if first.raftkv_offset:
            raise RaftKVError(
                f"the member goes on at byte {first.raftkv_offset} and {self.came} were asked for"
            )
        if self.came:
            self._begin_anew()

    def _take(self, message: api.SnapshotResponse) -> None:
        self._batch += self._last
        self._last = message.blob
        self._is_digest = not message.remaining_bytes and len(self._last) == DIGEST_BYTES
        before, self.came = self.came, self.came + len(self._last)
        self._options.progress(self.came, max(before + message.remaining_bytes, self.came))

    def _write_batch(self) -> None:
        self._digest.update(self._batch)
        self.file.write(self._batch)
        self._batch.clear()

    def _forget_half(self) -> None:
        """The stream broke: what came of the image stays, the checksum is sent again."""
        if self._is_digest:
            self.came -= len(self._last)
        else:
            self._batch += self._last
        self._last, self._is_digest = b"", False


def _may_pass(error: grpc.aio.AioRpcError | TimeoutError) -> bool:
    if isinstance(error, TimeoutError):
        return True
    return is_transient(error) or error.code() is grpc.StatusCode.CANCELLED


def _named(error: grpc.aio.AioRpcError | TimeoutError) -> RaftKVError:
    if isinstance(error, TimeoutError):
        return Unavailable(f"the member sent nothing for {SILENCE_MAX_S:g} s; ask another one")
    return error_of(error)


class _Pace:
    """A bucket of a second's bytes."""

    def __init__(self, rate_bytes_s: float, pause: Pause) -> None:
        self._rate = rate_bytes_s
        self._pause = pause
        self._free_at = 0.0

    async def wait(self, size: int) -> None:
        if not self._rate:
            return
        now = time.monotonic()
        self._free_at = max(self._free_at, now - 1.0) + size / self._rate
        if self._free_at > now:
            await self._pause(self._free_at - now)


class _PartFile:
    """A file that gets its name when it is whole and durable."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._part = f"{path}.part"
        flags = os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._part, flags, 0o600), "r+b")
        os.fchmod(self._file.fileno(), 0o600)

    def write(self, data: bytes | bytearray) -> None:
        self._file.write(data)

    def cut(self, size: int) -> None:
        self._file.seek(size)
        self._file.truncate()

    def finish(self, check: Callable[[str], None]) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        check(self._part)
        os.replace(self._part, self._path)
        directory = os.open(os.path.dirname(os.path.abspath(self._path)), os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def discard(self) -> None:
        with contextlib.suppress(OSError):  # what it cannot write for want of space goes with it
            self._file.close()
        if os.path.exists(self._part):
            os.unlink(self._part)
