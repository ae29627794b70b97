"""A member's database as a file that can be kept.

Owns: the stream's checks: every byte came, and the SHA-256 at its end is theirs. Must never do:
leave something under the final name that is not whole and durable.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from raftkv.api import rpc_pb2 as api
from raftkv.client.calls import error_of
from raftkv.client.login import Metadata
from raftkv.errors import Corrupt

SILENCE_MAX_S = 120.0
"""How long the member may take to the first piece, and from one to the next."""

Progress = Callable[[int, int], None]


async def pieces(
    channel: grpc.aio.Channel, metadata: Metadata = ()
) -> AsyncIterator[api.SnapshotResponse]:
    """The stream as it comes. Raises the error that etcd names."""
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
    except grpc.aio.AioRpcError as e:
        raise error_of(e) from e
    finally:
        call.cancel()


async def save(
    channel: grpc.aio.Channel, path: str, progress: Progress, metadata: Metadata = ()
) -> int:
    """Save to ``path`` by way of ``path.part``; the file's size. Raises Corrupt for a stream whose
    checksum is wrong. ``progress`` is told the bytes that came and those of the image."""
    file = _PartFile(path)
    try:
        size = await _receive(channel, file.write, progress, metadata)
        await asyncio.to_thread(file.commit)
    except BaseException:
        file.discard()
        raise
    return size


class _PartFile:
    """A file that gets its name when it is whole and durable."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._part = f"{path}.part"
        self._file = open(self._part, "wb")  # noqa: SIM115 - closed by commit or discard

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def commit(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._part, self._path)
        directory = os.open(os.path.dirname(os.path.abspath(self._path)), os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def discard(self) -> None:
        self._file.close()
        if os.path.exists(self._part):
            os.unlink(self._part)


async def _receive(
    channel: grpc.aio.Channel,
    write: Callable[[bytes], object],
    progress: Progress,
    metadata: Metadata,
) -> int:
    digest, came, last = hashlib.sha256(), 0, b""
    async for message in pieces(channel, metadata):
        digest.update(last)
        last = message.blob
        write(last)
        came += len(last)
        progress(came, max(came - len(last) + message.remaining_bytes, came))
    if last != digest.digest():
        raise Corrupt(f"the snapshot's checksum is wrong after {came} bytes: it is not whole")
    return came
