"""Requests of one event-loop turn as the bytes of one log entry, and back.

Owns: RequestKind, Batch and the entry's format, which old logs keep for ever: numbers and layout
never change. Must never do: look into a payload, which is the client's own protobuf request,
or a decision of the leader's (``raftkv.lease.decision``).

    origin u64 | sequence u64 | then per request: kind u8, length u32, payload   (little-endian)
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from raftkv.errors import Corrupt

_ORIGIN = struct.Struct("<QQ")
_REQUEST = struct.Struct("<BI")
_USER = struct.Struct("<QH")
"""What AS_USER begins with: ``raftkv.apply.behalf``."""


class RequestKind(IntEnum):
    """What a payload is. Values stand in every log: never renumber, never reuse."""

    PUT = 1
    DELETE_RANGE = 2
    TXN = 3
    COMPACT = 4
    LEASE_GRANT = 5
    LEASE_REVOKE = 6
    LEASE_EXPIRY = 7
    LEASE_CHECKPOINTS = 8
    MEMBER_ATTRIBUTES = 10
    MEMBER_UPDATE = 11
    CLUSTER_LEVEL = 12
    STATE_ORIGIN = 20
    """The digests of all members begin at this entry (``raftkv.apply.state_digest``)."""
    SPACE_BEGIN = 14
    SPACE_BASE = 15
    SPACE_QUOTA = 16
    PREFIX_QUOTA = 17
    ALARM = 40
    AUTH_ENABLE = 50
    AUTH_DISABLE = 51
    AUTH_ASSIGN_TOKEN = 52
    USER_ADD = 53
    USER_DELETE = 54
    USER_CHANGE_PASSWORD = 55
    USER_GRANT_ROLE = 56
    USER_REVOKE_ROLE = 57
    ROLE_ADD = 58
    ROLE_DELETE = 59
    ROLE_GRANT_PERMISSION = 60
    ROLE_REVOKE_PERMISSION = 61
    AS_USER = 70
    """Another kind's request with who asks for it (``raftkv.apply.behalf``)."""
    AS_MEMBER = 71
    """Another kind's request that a member asks for by itself."""


Request = tuple[int, bytes]
"""Kind and payload. A plain pair, since a loaded member makes a hundred thousand a second."""


@dataclass(frozen=True, slots=True)
class Batch:
    """``origin`` is the member that took the requests; ``sequence`` grows with each of its batches
    over all its lives."""

    origin: int
    sequence: int
    requests: Sequence[Request]


def encode_batch(origin: int, sequence: int, requests: Sequence[Request]) -> bytes:
    assert requests, f"batch {sequence} of {origin:x} is empty: it would cost an entry for nothing"
    pack = _REQUEST.pack
    parts = [_ORIGIN.pack(origin, sequence)]
    for kind, payload in requests:
        parts.append(pack(kind, len(payload)))
        parts.append(payload)
    return b"".join(parts)


def decode_batch(data: bytes) -> Batch:
    """Raises Corrupt: an entry passed the log's checksums, so nothing but a bug damages it."""
    end = len(data)
    unpack, head_bytes = _REQUEST.unpack_from, _REQUEST.size
    requests: list[Request] = []
    try:
        origin, sequence = _ORIGIN.unpack_from(data)
        at = _ORIGIN.size
        while at < end:
            kind, length = unpack(data, at)
            at += head_bytes
            payload = data[at : at + length]
            at += length
            requests.append((kind, payload))
    except struct.error as e:
        raise Corrupt(f"a log entry of {end} bytes is no batch of requests: {e}") from e
    if at != end:
        raise Corrupt(f"a log entry of {end} bytes ends {at - end} bytes before its last request")
    return Batch(origin, sequence, requests)


def first_kind(data: bytes) -> int | None:
    """What an entry's first request is, without decoding any: under AS_USER and AS_MEMBER, the
    request that they carry. None for an entry without requests."""
    at = _ORIGIN.size
    if len(data) < at + _REQUEST.size:
        return None
    kind, payload = data[at], at + _REQUEST.size
    if kind == RequestKind.AS_MEMBER and len(data) > payload:
        return data[payload]
    if kind == RequestKind.AS_USER and len(data) >= payload + _USER.size:
        place = payload + _USER.size + _USER.unpack_from(data, payload)[1]
        return data[place] if place < len(data) else kind
    return kind
