"""Maintenance.Snapshot: a copy of the database as a stream.

Owns: the stream's form, which is etcd's: blobs of 32 KiB, each with what remains from it on, then
the SHA-256 of all of them. Must never do: hold more than a piece or two: the next piece is read
when the client has taken the last.
"""

from __future__ import annotations

import asyncio

from raftkv import ETCD_VERSION
from raftkv.api.rpc_pb2 import SnapshotRequest, SnapshotResponse
from raftkv.apply.state import parse
from raftkv.errors import RaftKVError
from raftkv.rpc.guard import Guard
from raftkv.rpc.member import MaintenanceMember
from raftkv.server.backup import Backup
from raftkv.wire.service import Stream

BLOB_BYTES = 32 * 1024
STORAGE_VERSION = ".".join(ETCD_VERSION.split(".")[:2]) + ".0"
"""etcd's storage versions are those of its minor releases."""


class SnapshotMethod:
    def __init__(self, member: MaintenanceMember) -> None:
        self._member = member
        self._guard = Guard(member)

    async def serve(self, stream: Stream) -> None:
        async for payload in stream:
            parse(SnapshotRequest, payload)
            break
        backup = await self._open(stream)
        try:
            await self._send(backup, stream)
        finally:
            backup.close()

    async def _send(self, backup: Backup, stream: Stream) -> None:
        remaining = backup.size
        while piece := await _read(backup):
            for at in range(0, len(piece), BLOB_BYTES):
                blob = piece[at : at + BLOB_BYTES]
                stream.send(_message(remaining, blob))
                remaining -= len(blob)
            await stream.drain()
        stream.send(_message(0, backup.digest))

    async def _open(self, stream: Stream) -> Backup:
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

        self._guard.as_root(stream, lambda: self._member.maintenance.open_backup(done), failed)
        return await opened


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
