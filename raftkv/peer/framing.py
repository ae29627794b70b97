"""The bytes around peer messages: the greeting of a connection, and checked frames.

Owns: the greeting (magic, version, cluster, sender, target, purpose), its one-line answer, and
frames of length, CRC32C and body. Must never do: sockets, or hold more than one frame's limit.
TCP's own checksum misses about one corrupted segment in some tens of thousands, hence the CRC.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import google_crc32c

from raftkv.peer.codec import PeerProtocolError

MAGIC = b"RKVP"
PROTOCOL_VERSION = 1
_GREETING = struct.Struct(">4sHQQQB")
GREETING_SIZE = _GREETING.size
_ANSWER = struct.Struct(">B")
ANSWER_SIZE = _ANSWER.size
_FRAME = struct.Struct(">II")


class Purpose(IntEnum):
    MESSAGES = 0
    SNAPSHOT = 1


class Answer(IntEnum):
    """What the called member says to a greeting, and at the end of a snapshot."""

    OK = 0
    UNSUPPORTED_VERSION = 1
    CLUSTER_ID_MISMATCH = 2
    NOT_THE_TARGET = 3
    UNKNOWN_SENDER = 4
    REFUSED = 5
    REMOVED = 6


@dataclass(frozen=True, slots=True)
class Greeting:
    cluster_id: int
    sender: int
    target: int
    purpose: Purpose
    version: int = PROTOCOL_VERSION

    def encode(self) -> bytes:
        return _GREETING.pack(
            MAGIC, self.version, self.cluster_id, self.sender, self.target, self.purpose
        )

    @staticmethod
    def decode(data: bytes) -> Greeting:
        magic, version, cluster_id, sender, target, purpose = _GREETING.unpack(data)
        if magic != MAGIC:
            raise PeerProtocolError(f"greeting starts with {magic!r}, not {MAGIC!r}")
        try:
            return Greeting(cluster_id, sender, target, Purpose(purpose), version)
        except ValueError as e:
            raise PeerProtocolError(str(e)) from e


def encode_answer(answer: Answer) -> bytes:
    return _ANSWER.pack(answer)


def decode_answer(data: bytes) -> Answer:
    try:
        return Answer(data[0])
    except ValueError as e:
        raise PeerProtocolError(str(e)) from e


def encode_frame(body: bytes) -> bytes:
    return _FRAME.pack(len(body), google_crc32c.value(body)) + body


class FrameReader:
    """Bytes in, whole frames out; holds at most one unfinished frame of ``frame_bytes_max``."""

    def __init__(self, frame_bytes_max: int) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the bodies of all frames that ``data`` completes. Raises PeerProtocolError."""
        buffer = self._buffer + data if self._buffer else data
        at = 0
        while len(buffer) - at >= _FRAME.size:
            size, crc = _FRAME.unpack_from(buffer, at)
            if size > self._frame_bytes_max:
                raise PeerProtocolError(
                    f"frame of {size} bytes is over the limit of {self._frame_bytes_max}"
                )
            end = at + _FRAME.size + size
            if len(buffer) < end:
                break
            body = buffer[at + _FRAME.size : end]
            if google_crc32c.value(body) != crc:
                raise PeerProtocolError(f"frame of {size} bytes fails its CRC32C")
            yield body
            at = end
        self._buffer = buffer[at:]
