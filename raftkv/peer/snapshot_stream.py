"""A snapshot on its way from one member to another, on a connection of its own.

Owns: the stream after the greeting: one frame with the Raft message, one frame per chunk, an
empty frame at the end, then the receiver's one-byte answer once the file is durable there.
Must never do: block the loop (every file call goes to a thread), hold more than a few chunks, or
hand the message to Raft before the whole file is checked, synced and renamed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from raftkv.log_fields import fields, hex_id
from raftkv.peer.codec import PeerProtocolError, decode_message, encode_message
from raftkv.peer.framing import (
    ANSWER_SIZE,
    Answer,
    FrameReader,
    Greeting,
    decode_answer,
    encode_answer,
    encode_frame,
)
from raftkv.peer.plausibility import WITH_SNAPSHOT, check_message
from raftkv.peer.sockets import PeerSockets
from raftkv.raft.errors import ImpossibleMessage
from raftkv.raft.message import Message
from raftkv.scheduler import Worker

CHUNK_BYTES = 256 * 1024
FRAME_BYTES_MAX = 4 * CHUNK_BYTES
CHUNK_TIMEOUT_S = 30.0
"""A receiver that takes no chunk for this long is given up; Raft asks for another try."""

log = logging.getLogger("raftkv.peer")


async def send_snapshot(
    sockets: PeerSockets, url: str, greeting: Greeting, message: Message, path: str
) -> None:
    """Return once the receiver has the file durably. Raises OSError or PeerProtocolError."""
    async with asyncio.timeout(CHUNK_TIMEOUT_S):
        reader, writer = await sockets.open(url)
    try:
        writer.write(greeting.encode())
        await _expect_ok(reader)
        writer.write(encode_frame(encode_message(message)))
        file = await asyncio.to_thread(Path(path).open, "rb")
        with file:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                writer.write(encode_frame(chunk))
                async with asyncio.timeout(CHUNK_TIMEOUT_S):
                    await writer.drain()
        writer.write(encode_frame(b""))
        await _expect_ok(reader)
    finally:
        writer.close()


async def _expect_ok(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(CHUNK_TIMEOUT_S):
        answer = decode_answer(await reader.readexactly(ANSWER_SIZE))
    if answer is not Answer.OK:
        raise PeerProtocolError(f"the receiver refused the snapshot: {answer.name}")


class SnapshotFile(Protocol):
    """A file being received. All three run on the worker's thread, one at a time."""

    def write(self, chunk: bytes) -> None: ...

    def commit(self, index: int) -> None:
        """Make the file durable under its final name, as the snapshot at ``index``."""

    def discard(self) -> None: ...


class SnapshotSink:
    """Receives one snapshot; reading pauses while the worker writes, so memory stays bounded."""

    def __init__(
        self,
        greeting: Greeting,
        transport: asyncio.Transport,
        worker: Worker,
        file: SnapshotFile,
        deliver: Callable[[Message], None],
    ) -> None:
        self._greeting = greeting
        self._transport = transport
        self._worker = worker
        self._file = file
        self._deliver = deliver
        self._frames = FrameReader(FRAME_BYTES_MAX)
        self._message: Message | None = None
        self._writing = 0
        self._complete = False

    def feed(self, data: bytes) -> None:
        for body in self._frames.feed(data):
            if self._complete:
                raise PeerProtocolError("a frame after the end of a snapshot")
            if self._message is None:
                self._message = self._snapshot_message(body)
            elif body:
                self._write(body)
            else:
                self._complete = True
                self._commit(self._message)

    def lost(self) -> None:
        if not self._complete:
            self._complete = True
            self._worker.run(self._file.discard, _log_failure)

    def _write(self, chunk: bytes) -> None:
        self._writing += 1
        if self._writing == 1:
            self._transport.pause_reading()
        self._worker.run(lambda: self._file.write(chunk), self._written)

    def _written(self, error: BaseException | None) -> None:
        self._writing -= 1
        if error is not None:
            self._refuse(error)
        elif self._writing == 0 and not self._transport.is_closing():
            self._transport.resume_reading()

    def _commit(self, message: Message) -> None:
        assert message.snapshot is not None, "checked when it was read"
        index = message.snapshot.meta.index

        def committed(error: BaseException | None) -> None:
            if error is not None:
                self._worker.run(self._file.discard, _log_failure)
                self._refuse(error)
                return
            try:
                self._deliver(message)
            except ImpossibleMessage as e:
                self._refuse(e)
                return
            self._answer(Answer.OK)

        self._worker.run(lambda: self._file.commit(index), committed)

    def _refuse(self, error: BaseException) -> None:
        told = fields(remote_peer_id=hex_id(self._greeting.sender), error=str(error))
        log.error("cannot take a snapshot", extra=told)
        self._answer(Answer.REFUSED)
        self._transport.close()

    def _answer(self, answer: Answer) -> None:
        """The sender may have hung up while the worker wrote; uvloop's transports mind."""
        if not self._transport.is_closing():
            self._transport.write(encode_answer(answer))

    def _snapshot_message(self, body: bytes) -> Message:
        message = decode_message(body)
        if message.type not in WITH_SNAPSHOT:
            raise PeerProtocolError(f"a snapshot stream starts with {message.type.name}")
        check_message(message, sender=self._greeting.sender, target=self._greeting.target)
        return message


def _log_failure(error: BaseException | None) -> None:
    if error is not None:
        log.warning("cannot remove an unfinished snapshot file", extra=fields(error=str(error)))
