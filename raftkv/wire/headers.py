"""HPACK (RFC 7541): request header blocks to fields, and response header blocks ready to send.

Owns: the receiving dynamic table of one connection and a cache of whole blocks. Clients repeat
the same block for the same method, and a block that leaves the dynamic table alone means the
same until the table changes: such blocks are kept by their bytes, and all are forgotten as soon
as any block changes the table (an insertion, or a table size update).
The static table and the Huffman code are the ``hpack`` library's. The loop over a block and the
dynamic table are ours: a Go client with deadlines changes the table at every call
(``grpc-timeout``), so that no cache helps it, and the library takes several times as long.
Responses never use a dynamic table, so the peer's table size is no matter.
Must never do: judge what the fields mean (routes.py does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

from hpack.exceptions import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from raftkv.wire.frames import ConnectionFailure, ErrorCode
from raftkv.wire.limits import WireLimits

Field = tuple[bytes, bytes]
Meaning = TypeVar("Meaning")

TABLE_BYTES = HeaderTable.DEFAULT_SIZE
_ENTRY_OVERHEAD = 32
_STATIC: tuple[Field, ...] = tuple(HeaderTable.STATIC_TABLE)
_DYNAMIC_FIRST = len(_STATIC) + 1
_CACHED_BLOCK_BYTES_MAX = 2_048
_HUFFMAN_CACHED_BYTES_MAX = 16


class DynamicTable:
    """The entries that a peer's blocks have inserted, newest first (section 2.3.2)."""

    __slots__ = ("entries", "size", "size_max")

    def __init__(self) -> None:
        self.entries: list[Field] = []
        self.size = 0
        self.size_max = TABLE_BYTES

    def add(self, field: Field) -> None:
        self.entries.insert(0, field)
        self.size += len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD
        if self.size > self.size_max:
            self._evict()

    def resize(self, size_max: int) -> None:
        self.size_max = size_max
        self._evict()

    def _evict(self) -> None:
        entries = self.entries
        while self.size > self.size_max:
            name, value = entries.pop()
            self.size -= len(name) + len(value) + _ENTRY_OVERHEAD
        assert self.size >= 0, f"dynamic table of {self.size} bytes"


class HeaderDecoder(Generic[Meaning]):
    """Turns blocks into whatever ``meaning`` makes of their fields; meanings are cached."""

    __slots__ = ("_blocks_max", "_limit", "_meaning", "_table", "blocks")

    def __init__(self, limits: WireLimits, meaning: Callable[[list[Field]], Meaning]) -> None:
        self._table = DynamicTable()
        self._meaning = meaning
        self._limit = limits.header_list_bytes_max
        self._blocks_max = limits.header_blocks_cached_max
        # Block bytes -> meaning, valid for the present dynamic table. Read by the connection.
        self.blocks: dict[bytes, Meaning] = {}

    def decode(self, block: bytes) -> Meaning:
        """Raises ConnectionFailure: after a bad block the two tables cannot agree again."""
        try:
            fields, changed = self._fields(block)
        except (IndexError, HPACKError) as error:
            reason = f"bad header block: {error}"
            raise ConnectionFailure(ErrorCode.COMPRESSION_ERROR, reason) from None
        meaning = self._meaning(fields)
        blocks = self.blocks
        if changed:
            blocks.clear()
        elif len(block) <= _CACHED_BLOCK_BYTES_MAX:
            if len(blocks) >= self._blocks_max:
                blocks.clear()
            blocks[block] = meaning
        return meaning

    def _fields(self, block: bytes) -> tuple[list[Field], bool]:
        """One pass over a block. IndexError means it names an absent entry or ends too early."""
        table = self._table
        dynamic = table.entries
        fields: list[Field] = []
        changed = False
        position = 0
        left = self._limit
        end = len(block)
        while position < end:
            first = block[position]
            if 0xBE <= first < 0xFF:  # indexed field of the dynamic table, section 6.1
                field = dynamic[first - 0xBE]
                position += 1
            elif first & 0x80:  # indexed field of either table
                index, position = _integer(block, position, 0x7F)
                field = _entry(dynamic, index)
            elif first & 0xE0 == 0x20:  # table size update, section 6.3
                if fields:
                    raise HPACKError("table size update after a field")
                size, position = _integer(block, position, 0x1F)
                if size > TABLE_BYTES:
                    raise HPACKError(f"table size {size} over {TABLE_BYTES}")
                table.resize(size)
                changed = True
                continue
            else:  # literal: 01 with indexing, 0000 without, 0001 never indexed, section 6.2
                indexing = first & 0x40
                index, position = _integer(block, position, 0x3F if indexing else 0x0F)
                if index:
                    name = _entry(dynamic, index)[0]
                else:
                    name, position = _string(block, position)
                value, position = _string(block, position)
                field = (name, value)
                if indexing:
                    table.add(field)
                    changed = True
            left -= len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD
            if left < 0:
                reason = f"header list larger than {self._limit} bytes"
                raise ConnectionFailure(ErrorCode.ENHANCE_YOUR_CALM, reason)
            fields.append(field)
        return fields, changed


def _entry(dynamic: Sequence[Field], index: int) -> Field:
    if index >= _DYNAMIC_FIRST:
        return dynamic[index - _DYNAMIC_FIRST]
    if index == 0:
        raise HPACKError("index 0")
    return _STATIC[index - 1]


def _integer(block: bytes, position: int, mask: int) -> tuple[int, int]:
    """A prefix integer (section 5.1) and the position after it; four more bytes at most."""
    value = block[position] & mask
    position += 1
    if value < mask:
        return value, position
    for shift in (0, 7, 14, 21):
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise HPACKError("integer too long")


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    huffman = block[position] & 0x80
    length, start = _integer(block, position, 0x7F)
    end = start + length
    if end > len(block):
        raise HPACKError("string longer than its block")
    text = block[start:end]
    if huffman:
        text = _short_huffman(text) if length <= _HUFFMAN_CACHED_BYTES_MAX else _huffman(text)
    return text, end


def _huffman(text: bytes) -> bytes:
    return bytes(decode_huffman(text))


# Above all for grpc-timeout values.
_short_huffman = lru_cache(maxsize=4_096)(_huffman)


# --- responses ------------------------------------------------------------------------------


def _encoded_integer(value: int, mask: int) -> bytes:
    if value < mask:
        return bytes((value,))
    out = bytearray((mask,))
    value -= mask
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def block_of(fields: Iterable[Field]) -> bytes:
    """A header block of literals that leave the peer's dynamic table alone."""
    out = bytearray()
    for name, value in fields:
        if (name, value) in _STATIC:
            out.append(0x80 | _STATIC.index((name, value)) + 1)
            continue
        out += b"\0" + _encoded_integer(len(name), 0x7F) + name
        out += _encoded_integer(len(value), 0x7F) + value
    return bytes(out)
