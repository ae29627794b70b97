"""One record of the REVISIONS table: what happened to one key at one revision.

Owns: positions (main, sub) and the record's bytes. Must never do: storage.
A record names the key's record before it, and one much further back: following the far one while
it is not too far, and the near one otherwise, reaches any version in O(log n) reads (skew-binary
jump pointers: Myers, "An applicative random-access stack", 1983).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from raftkv.mvcc.codec import decode_varint

_POSITION = struct.Struct(">QI")
_HEAD = struct.Struct(">BIQIQII")
HEAD_SIZE = _HEAD.size
PREVIOUS_AT, JUMP_AT, POINTERS_END = 5, 17, 29
"""Where the two pointers lie, one behind the other: each as ``encode_position`` has it."""
_TOMBSTONE = 1

Position = tuple[int, int]
"""(main revision, sub revision). (0, 0) is nowhere: revisions start at 2."""
NOWHERE: Position = (0, 0)


def encode_position(position: Position) -> bytes:
    return _POSITION.pack(*position)


def decode_position(data: bytes) -> Position:
    main, sub = _POSITION.unpack(data)
    return main, sub


@dataclass(frozen=True, slots=True)
class Record:
    """What happened, and where the key's record before it is."""

    key_value: bytes
    is_tombstone: bool
    previous: Position
    jump: Position


class Link:
    """The part of a key's record that its next one is chained to.

    ``far`` is the link at ``jump`` where it is at hand: a key that is written again and again is
    then chained without reading. It holds O(log n) links alive, for every far one is further.
    """

    __slots__ = ("depth", "far", "jump", "jump_depth", "position")

    def __init__(
        self,
        position: Position,
        depth: int,
        jump: Position = NOWHERE,
        jump_depth: int = 0,
        far: Link | None = None,
    ) -> None:
        self.position = position
        self.depth = depth
        self.jump = jump
        self.jump_depth = jump_depth
        self.far = far


def decode_link(position: Position, data: bytes) -> Link:
    _, depth, _, _, main, sub, jump_depth = _HEAD.unpack_from(data)
    return Link(position, depth, (main, sub), jump_depth)


def encode_record(
    key_value: bytes,
    is_tombstone: bool,
    depth: int,
    previous: Position,
    jump: Position,
    jump_depth: int,
    mark: int = 0,
) -> bytes:
    """``depth`` counts the key's records up to this one, ``jump_depth`` those up to ``jump``;
    ``mark`` is the backend's."""
    return (
        _HEAD.pack(
            is_tombstone | mark, depth, previous[0], previous[1], jump[0], jump[1], jump_depth
        )
        + key_value
    )


def decode_record(data: bytes) -> Record:
    flags, _, main, sub, jump_main, jump_sub, _ = _HEAD.unpack_from(data)
    return Record(data[HEAD_SIZE:], bool(flags & _TOMBSTONE), (main, sub), (jump_main, jump_sub))


def is_live_record(data: bytes | memoryview) -> bool:
    return not data[0] & _TOMBSTONE


def is_live_record_of(data: bytes, key: bytes) -> bool:
    """Whether an encoded record is a version of ``key``, without decoding all of it."""
    if not is_live_record(data):
        return False
    size, at = decode_varint(data, HEAD_SIZE + 1)
    return size == len(key) and data.startswith(key, at)
