"""What gRPC adds to HTTP/2: message framing, compression, deadlines, status and its headers.

Owns: the gRPC-over-HTTP/2 protocol text as pure functions, and ``MessageReader``. The wording of
every status it makes is grpc-go's, since etcd's clients have seen only that.
Must never do: know streams or connections.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache

from raftkv.wire.headers import Field, block_of
from raftkv.wire.service import Status

OK = 0
CANCELLED = 1
UNKNOWN = 2
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
RESOURCE_EXHAUSTED = 8
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
CODE_NAMES = (
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound",
    "AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted",
    "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated",
)  # fmt: skip
"""grpc-go's, by number."""

PREFIX_BYTES = 5
CONTENT_TYPE = b"application/grpc"
STATUS_OK = Status(OK)
STATUS_DEADLINE = Status(DEADLINE_EXCEEDED, "context deadline exceeded")

# A status message travels in one header block, which must stay below every client's limit.
_STATUS_MESSAGE_BYTES_MAX = 4_096
_TIMEOUT_UNITS = {
    b"H": 3600.0,
    b"M": 60.0,
    b"S": 1.0,
    b"m": 1e-3,
    b"u": 1e-6,
    b"n": 1e-9,
}


class CallFailure(Exception):
    """The request is wrong in a way that has a gRPC status for an answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.status = Status(code, message)


def timeout_seconds(value: bytes) -> float:
    """The seconds in a ``grpc-timeout``: up to 8 digits and a unit. Raises ValueError."""
    digits = value[:-1]
    unit = _TIMEOUT_UNITS.get(value[-1:])
    if unit is None or not digits.isdigit() or len(digits) > 8:
        raise ValueError(f"malformed grpc-timeout: {value!r}")
    return int(digits) * unit


def percent_encode(message: str) -> bytes:
    """``grpc-message``: UTF-8 with everything outside printable ASCII, and %, as %XX; and a space
    at either end, where no field may have one (RFC 9113 section 8.2.1)."""
    text = message.encode("utf-8", "replace")[:_STATUS_MESSAGE_BYTES_MAX]
    ends = text[:1] + text[-1:]
    if (
        text.isascii()
        and text.decode("ascii").isprintable()
        and b"%" not in text
        and b" " not in ends
    ):
        return text
    last = len(text) - 1
    return b"".join(
        bytes((byte,))
        if (0x20 < byte <= 0x7E and byte != 0x25) or (byte == 0x20 and 0 < index < last)
        else b"%%%02X" % byte
        for index, byte in enumerate(text)
    )


def _status_fields(status: Status) -> list[Field]:
    fields = [(b"grpc-status", b"%d" % status.code)]
    if status.message:
        fields.append((b"grpc-message", percent_encode(status.message)))
    return fields


RESPONSE_BLOCK = block_of([(b":status", b"200"), (b"content-type", CONTENT_TYPE)])


@lru_cache(maxsize=256)
def trailers_block(status: Status) -> bytes:
    """The trailers that end a response."""
    return block_of(_status_fields(status))


@lru_cache(maxsize=256)
def trailers_only_block(status: Status, http_status: int = 200) -> bytes:
    """One block that is a whole response: its headers and its trailers."""
    head = [(b":status", b"%d" % http_status), (b"content-type", CONTENT_TYPE)]
    return block_of(head + _status_fields(status))


def like_messages(head: bytes, middles: Sequence[bytes], tail: bytes) -> bytes:
    """The messages ``head + middle + tail`` for middles of one length, each with its prefix: by
    one join, since nothing else differs."""
    length = len(head) + len(middles[0]) + len(tail)
    begin = bytes(1) + length.to_bytes(4, "big") + head
    pieces = list(middles)
    pieces[0] = begin + pieces[0]
    pieces[-1] += tail
    data = (tail + begin).join(pieces)
    expected = len(middles) * (PREFIX_BYTES + length)
    assert len(data) == expected, f"middles of other lengths: {len(data)} bytes, not {expected}"
    return data


class MessageReader:
    """Cuts length-prefixed messages out of a stream's DATA, in whatever pieces it comes."""

    __slots__ = ("_buffer", "_encoding", "_limit")

    def __init__(self, limit: int, encoding: bytes) -> None:
        self._buffer = bytearray()
        self._limit = limit
        self._encoding = encoding

    @property
    def partial_bytes(self) -> int:
        """Bytes of a message that has not wholly arrived."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that ``data`` completes. Raises CallFailure for one that may not be."""
        buffer = self._buffer
        buffer += data
        messages: list[bytes] = []
        start = 0
        while len(buffer) - start >= PREFIX_BYTES:
            flag = buffer[start]
            length = int.from_bytes(buffer[start + 1 : start + PREFIX_BYTES], "big")
            if flag > 1:
                raise CallFailure(INTERNAL, f"grpc: unexpected payload format {flag}")
            if length > self._limit:
                raise oversize(length, self._limit)
            end = start + PREFIX_BYTES + length
            if end > len(buffer):
                break
            message = bytes(memoryview(buffer)[start + PREFIX_BYTES : end])
            messages.append(self._inflated(message) if flag else message)
            start = end
        if start:
            del buffer[:start]
        return messages

    def _inflated(self, message: bytes) -> bytes:
        if self._encoding in (b"", b"identity"):
            text = "grpc: compressed flag set with identity or empty encoding"
            raise CallFailure(INTERNAL, text)
        return gunzip(message, self._limit)


def oversize(length: int, limit: int) -> CallFailure:
    text = f"grpc: received message larger than max ({length} vs. {limit})"
    return CallFailure(RESOURCE_EXHAUSTED, text)


def gunzip(message: bytes, limit: int) -> bytes:
    """The message inside one gzip member, never inflating more than ``limit`` + 1 bytes."""
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(message, limit + 1)
    except zlib.error as error:
        text = f"grpc: failed to decompress the received message: {error}"
        raise CallFailure(INTERNAL, text) from None
    if len(plain) > limit:
        text = f"grpc: received message after decompression larger than max {limit}"
        raise CallFailure(RESOURCE_EXHAUSTED, text)
    if not inflater.eof:
        text = "grpc: failed to decompress the received message: unexpected EOF"
        raise CallFailure(INTERNAL, text)
    return plain
