"""A request in the log with who asks for it.

Owns: the payloads of AS_USER and AS_MEMBER, which old logs keep for ever. Must never do: look into
the request, or be there for clusters without auth: their requests carry nothing.

    AS_USER    revision u64 | name length u16 | name in UTF-8 | kind u8 | the request
    AS_MEMBER  kind u8 | the request                                        (little-endian)
"""

from __future__ import annotations

import struct

from raftkv.auth.caller import Caller
from raftkv.errors import MalformedRequest, PermissionDenied

_HEAD = struct.Struct("<QH")
NAME_BYTES_MAX = 0xFFFF


def encode_as_user(caller: Caller, kind: int, payload: bytes) -> bytes:
    """Raises PermissionDenied for a name that no user of ours can have."""
    name = caller.name.encode()
    if len(name) > NAME_BYTES_MAX:
        raise PermissionDenied(f"a user's name has at most {NAME_BYTES_MAX} bytes, not {len(name)}")
    return b"".join((_HEAD.pack(caller.revision, len(name)), name, bytes((kind,)), payload))


def decode_as_user(payload: bytes) -> tuple[Caller, int, bytes]:
    """Raises MalformedRequest."""
    try:
        revision, length = _HEAD.unpack_from(payload)
        end = _HEAD.size + length
        name = payload[_HEAD.size : end].decode()
        return Caller(name, revision), payload[end], payload[end + 1 :]
    except (struct.error, IndexError, UnicodeDecodeError) as e:
        raise MalformedRequest(f"{len(payload)} bytes do not say whose they are: {e}") from None


def encode_as_member(kind: int, payload: bytes) -> bytes:
    return bytes((kind,)) + payload


def decode_as_member(payload: bytes) -> tuple[int, bytes]:
    """Raises MalformedRequest."""
    if not payload:
        raise MalformedRequest("a member's own request has no kind")
    return payload[0], payload[1:]
