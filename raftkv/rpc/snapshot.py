"""Maintenance.Snapshot: a copy of the database as a stream.

Owns: the stream's form, which is etcd's: blobs of 32 KiB, each with what remains from it on, then
the SHA-256 of all of them. Must never do: hold more than a piece or two: the next piece is read
when the client has taken the last.

Our own client names the image in the metadata. If its connection is lost, the image stays for a
while, and a stream with the same name and an offset goes on there. The first message then has the
name and the offset that it begins with: 0 if the image is gone and another one was made. Whoever
gives no name gets etcd's messages, and the image goes with the stream.
"""

from __future__ import annotations

import asyncio

from raftkv import ETCD_VERSION
from raftkv.api.rpc_pb2 import SnapshotRequest, SnapshotResponse
from raftkv.apply.state import parse
from raftkv.errors import InvalidRequest, RaftKVError
from raftkv.rpc.guard import Guard
from raftkv.rpc.member import MaintenanceMember
from raftkv.server.backup import Backup, Opened
from raftkv.wire.service import Stream

BLOB_BYTES = 32 * 1024
STORAGE_VERSION = ".".join(ETCD_VERSION.split(".")[:2]) + ".0"
"""etcd's storage versions are those of its minor releases."""
IMAGE_KEY = "raftkv-snapshot-image"
OFFSET_KEY = "raftkv-snapshot-offset"
NAME_CHARACTERS_MAX = 64
OFFSET_DIGITS_MAX = 18


class SnapshotMethod:
    def __init__(self, member: MaintenanceMember) -> None:
        self._member = member
        self._guard = Guard(member)

    async def serve(self, stream: Stream) -> None:
        async for payload in stream:
            parse(SnapshotRequest, payload)
            break
        name, offset = _named(stream)
        backup = await self._open(stream, name, offset)
        try:
            await self._send(backup, stream, name)
        except asyncio.CancelledError:
            if name:
                self._member.maintenance.keep_backup(name, backup)
            else:
                backup.close()
            raise
        except BaseException:
            backup.close()
            raise
        backup.close()

    async def _send(self, backup: Backup, stream: Stream, name: str) -> None:
        begin = SnapshotResponse(raftkv_image=name, raftkv_offset=backup.position)
        extra = begin.SerializeToString()  # nothing without a name
        remaining = backup.size - backup.position
        while piece := await _read(backup):
            for at in range(0, len(piece), BLOB_BYTES):
                blob = piece[at : at + BLOB_BYTES]
                stream.send(_message(remaining, blob) + extra)
                remaining -= len(blob)
                extra = b""
            await stream.drain()
        stream.send(_message(0, backup.digest) + extra)

    async def _open(self, stream: Stream, name: str, offset: int) -> Backup:
        """For root: it holds all keys and all passwords' hashes."""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[Backup] = loop.create_future()

        def done(outcome: Backup | RaftKVError) -> None:
            if opened.done():  # the client went away meanwhile
                if isinstance(outcome, Backup):
                    outcome.close()
            elif isinstance(outcome, RaftKVError):
                opened.set_exception(outcome)
            else:
                opened.set_result(outcome)

        def failed(error: BaseException) -> None:
            if not opened.done():
                opened.set_exception(error)

        self._guard.as_root(stream, lambda: self._begin(name, offset, done), failed)
        return await opened

    def _begin(self, name: str, offset: int, done: Opened) -> None:
        """The image that was kept by this name, from ``offset`` on, or a new one."""
        maintenance = self._member.maintenance
        kept = maintenance.take_backup(name) if name else None
        if kept is None:
            maintenance.open_backup(done)
        elif offset > kept.position:
            kept.close()
            maintenance.open_backup(done)
        else:
            kept.go_back(offset, lambda error: _went_back(kept, error, done))


def _went_back(backup: Backup, error: RaftKVError | None, done: Opened) -> None:
    if error is None:
        done(backup)
    else:
        backup.close()
        done(error)


def _named(stream: Stream) -> tuple[str, int]:
    """The image's name and where to go on; "" and 0 for a client that knows neither."""
    name = stream.metadata.get(IMAGE_KEY, "")
    if not name:
        return "", 0
    if len(name) > NAME_CHARACTERS_MAX:
        raise InvalidRequest(
            f"{IMAGE_KEY} has {len(name)} characters, the limit is {NAME_CHARACTERS_MAX}"
        )
    text = stream.metadata.get(OFFSET_KEY, "0")
    if not text.isdecimal() or len(text) > OFFSET_DIGITS_MAX:
        raise InvalidRequest(f"{OFFSET_KEY} is to be a number of bytes, got {text!r}")
    return name, int(text)


async def _read(backup: Backup) -> bytes:
    loop = asyncio.get_running_loop()
    read: asyncio.Future[bytes] = loop.create_future()

    def done(outcome: bytes | RaftKVError) -> None:
        if read.done():
            return
        if isinstance(outcome, RaftKVError):
            read.set_exception(outcome)
        else:
            read.set_result(outcome)

    backup.read(done)
    return await read


def _message(remaining: int, blob: bytes) -> bytes:
    return SnapshotResponse(
        remaining_bytes=remaining, blob=blob, version=STORAGE_VERSION
    ).SerializeToString()
