"""What a leader decides about leases, as the payload of a log entry's request.

Owns: the bytes of a decision, which old logs keep for ever. Must never do: judge one; ``apply``
does. Both kinds begin with the term in which the leader decided (invariant L2 of DESIGN.md).

    EXPIRE      term u64 | id i64 ...
    CHECKPOINT  term u64 | (id i64, remaining seconds u64) ...        (little-endian)
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from raftkv.errors import MalformedRequest

_TERM = struct.Struct("<Q")
_ID = struct.Struct("<q")
_REMAINING = struct.Struct("<qQ")

Checkpoint = tuple[int, int]
"""Lease id and remaining seconds; 0 seconds take an earlier checkpoint back."""


def encode_expiry(term: int, ids: Sequence[int]) -> bytes:
    return _TERM.pack(term) + b"".join(_ID.pack(lease_id) for lease_id in ids)


def decode_expiry(payload: bytes) -> tuple[int, list[int]]:
    """Raises MalformedRequest."""
    term, body = _split(payload, _ID.size)
    return term, [lease_id for (lease_id,) in _ID.iter_unpack(body)]


def encode_checkpoints(term: int, checkpoints: Sequence[Checkpoint]) -> bytes:
    return _TERM.pack(term) + b"".join(_REMAINING.pack(*each) for each in checkpoints)


def decode_checkpoints(payload: bytes) -> tuple[int, list[Checkpoint]]:
    """Raises MalformedRequest."""
    term, body = _split(payload, _REMAINING.size)
    return term, [(lease_id, left) for lease_id, left in _REMAINING.iter_unpack(body)]


def _split(payload: bytes, size: int) -> tuple[int, bytes]:
    if len(payload) < _TERM.size or (len(payload) - _TERM.size) % size:
        raise MalformedRequest(f"{len(payload)} bytes are no decision about leases")
    return _TERM.unpack_from(payload)[0], payload[_TERM.size :]
