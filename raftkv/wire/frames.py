"""HTTP/2 frames as bytes: constants, error codes, and how each control frame is built and read.

Owns: RFC 9113 sections 4, 6 and 7. Must never do: keep state between frames; that is the
connection's. A frame is a 9-byte head (length 24 bits, type 8, flags 8, stream 32) and a
payload; length and type are read as one 32-bit word, ``length << 8 | type``.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct, iter_unpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = Struct(">IBI")
HEAD_BYTES = HEAD.size
STREAM_ID_MAX = (1 << 31) - 1
WINDOW_MAX = (1 << 31) - 1
WINDOW_DEFAULT = 65_535
FRAME_BYTES_MIN = 16_384

# Frame types (section 6).
DATA = 0x0
HEADERS = 0x1
PRIORITY = 0x2
RST_STREAM = 0x3
SETTINGS = 0x4
PUSH_PROMISE = 0x5
PING = 0x6
GOAWAY = 0x7
WINDOW_UPDATE = 0x8
CONTINUATION = 0x9

# Flags.
END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20


class Setting(IntEnum):
    """The settings of RFC 9113 section 6.5.2."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6


class ErrorCode(IntEnum):
    """The codes of RST_STREAM and GOAWAY, RFC 9113 section 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class ConnectionFailure(Exception):
    """The peer broke a rule that ends the connection; answered with GOAWAY."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(f"{code.name}: {reason}")
        self.code = code
        self.reason = reason


class StreamFailure(Exception):
    """The peer broke a rule that ends one stream; answered with RST_STREAM."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(f"{code.name}: {reason}")
        self.code = code


# --- building -------------------------------------------------------------------------------

_WORD = Struct(">I")
_GOAWAY = Struct(">II")


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return HEAD.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def kind_of(whole: bytes) -> int:
    """The type of a whole frame."""
    return whole[3]


def prepended(whole: bytes, head: bytes) -> bytes:
    """A whole frame with ``head`` before its payload."""
    word, flags, stream_id = HEAD.unpack_from(whole)
    return frame(word & 0xFF, flags, stream_id, head + whole[HEAD_BYTES:])


def settings(values: dict[Setting, int]) -> bytes:
    payload = b"".join(
        number.to_bytes(2, "big") + value.to_bytes(4, "big") for number, value in values.items()
    )
    return frame(SETTINGS, 0, 0, payload)


SETTINGS_ACK = frame(SETTINGS, ACK, 0)


def ping(payload: bytes, *, ack: bool) -> bytes:
    assert len(payload) == 8, f"a ping carries 8 bytes, got {len(payload)}"
    return frame(PING, ACK if ack else 0, 0, payload)


def goaway(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, _GOAWAY.pack(last_stream_id, code) + debug)


def rst_stream(stream_id: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream_id, _WORD.pack(code))


def window_update(stream_id: int, increment: int) -> bytes:
    assert 0 < increment <= WINDOW_MAX, f"window increment {increment} is not in 1..2^31-1"
    return frame(WINDOW_UPDATE, 0, stream_id, _WORD.pack(increment))


# --- reading ----------------------------------------------------------------------------------


def unpad(flags: int, payload: bytes) -> bytes:
    """The payload of a DATA or HEADERS frame without its padding (sections 6.1, 6.2)."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "padding longer than the frame")
    return payload[1 : len(payload) - payload[0]]


def header_fragment(flags: int, stream_id: int, payload: bytes) -> bytes:
    """The header block fragment of a HEADERS frame; priority is read over (section 5.3)."""
    fragment = unpad(flags, payload)
    if not flags & PRIORITIZED:
        return fragment
    if len(fragment) < 5:
        raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
    if _WORD.unpack_from(fragment)[0] & STREAM_ID_MAX == stream_id:
        raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, f"stream {stream_id} depends on itself")
    return fragment[5:]


def read_word(kind: str, payload: bytes) -> int:
    """The one 32-bit word of an RST_STREAM or WINDOW_UPDATE frame."""
    if len(payload) != 4:
        raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, f"{kind} of {len(payload)} bytes")
    word: int = _WORD.unpack(payload)[0]
    return word


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """The settings of a SETTINGS frame, checked for the ranges of section 6.5.2."""
    if len(payload) % 6:
        raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
    values: list[tuple[int, int]] = list(iter_unpack(">HI", payload))
    for number, value in values:
        if number == Setting.ENABLE_PUSH and value > 1:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH {value}")
        if number == Setting.INITIAL_WINDOW_SIZE and value > WINDOW_MAX:
            raise ConnectionFailure(ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE {value}")
        if number == Setting.MAX_FRAME_SIZE and not FRAME_BYTES_MIN <= value < 1 << 24:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE {value}")
    return values
