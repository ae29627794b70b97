"""KeyValue as protobuf bytes, by hand.

Owns: varints, the encoded KeyValue (mvccpb), and the row: the ``kvs`` field of a RangeResponse
that holds one. Must never do: import protobuf: it would build an object per row that nobody looks
at. Field numbers: key 1, create_revision 2, mod_revision 3, version 4, value 5, lease 6; a field
that is zero or empty is absent, as protobuf 3 has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from raftkv.mvcc.query import KeyValue

_SMALL = tuple(bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(1 << 14))
_U64 = (1 << 64) - 1
ROW_TAG = 0x12


def encode_varint(number: int) -> bytes:
    """An unsigned number; a negative one as its 64-bit two's complement."""
    if 0 <= number < 16384:
        return _SMALL[number]
    if 0 < number < 2097152:
        return bytes((number & 127 | 128, number >> 7 & 127 | 128, number >> 14))
    if 0 < number < 268435456:
        return bytes(
            (number & 127 | 128, number >> 7 & 127 | 128, number >> 14 & 127 | 128, number >> 21)
        )
    number &= _U64
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at ``at``, and where the next byte after it is."""
    number = data[at]
    if number < 128:
        return number, at + 1
    number &= 127
    shift = 7
    while True:
        at += 1
        byte = data[at]
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at + 1
        shift += 7


def signed(number: int) -> int:
    """A 64-bit two's complement number as int64."""
    return number - (1 << 64) if number >> 63 else number


def encode_key_value(
    key: bytes, create_revision: int, mod_revision: int, version: int, value: bytes, lease: int
) -> bytes:
    parts = [b"\x0a", encode_varint(len(key)), key]
    if create_revision:
        parts += b"\x10", encode_varint(create_revision)
    if mod_revision:
        parts += b"\x18", encode_varint(mod_revision)
    if version:
        parts += b"\x20", encode_varint(version)
    if value:
        parts += b"\x2a", encode_varint(len(value)), value
    if lease:
        parts += b"\x30", encode_varint(lease)
    return b"".join(parts)


def encode_deletion(key: bytes, mod_revision: int) -> bytes:
    """The KeyValue of a delete event: key and revision alone."""
    return encode_key_value(key, 0, mod_revision, 0, b"", 0)


def decode_key_value(data: bytes, at: int = 0) -> KeyValue:
    key = value = b""
    numbers = [0] * 7
    end = len(data)
    while at < end:
        tag = data[at]
        number, at = decode_varint(data, at + 1)
        if tag == 0x0A:
            key = data[at : at + number]
            at += number
        elif tag == 0x2A:
            value = data[at : at + number]
            at += number
        else:
            numbers[tag >> 3] = number
    return KeyValue(key, numbers[2], numbers[3], numbers[4], value, signed(numbers[6]))


def key_of(key_value: bytes) -> bytes:
    """The key of an encoded KeyValue, which comes first in it."""
    size, at = decode_varint(key_value, 1)
    return key_value[at : at + size]


def value_bytes_of(key_value: bytes) -> int:
    """How long the value of an encoded KeyValue is."""
    size, at = decode_varint(key_value, 1)
    at += size
    end = len(key_value)
    while at < end:
        tag = key_value[at]
        number, at = decode_varint(key_value, at + 1)
        if tag == 0x2A:
            return number
    return 0


def lease_of(key_value: bytes) -> int:
    """The lease of an encoded KeyValue, 0 for none, without copying its key and value."""
    at, end = 0, len(key_value)
    while at < end:
        tag = key_value[at]
        number, at = decode_varint(key_value, at + 1)
        if tag == 0x30:
            return signed(number)
        if tag in (0x0A, 0x2A):
            at += number
    return 0


def encode_row(key_value: bytes) -> bytes:
    return b"\x12" + encode_varint(len(key_value)) + key_value


def row_body(row: bytes) -> bytes:
    """The encoded KeyValue of a row."""
    return row[decode_varint(row, 1)[1] :]


def rows_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The rows of a RangeResult, one by one."""
    for piece in pieces:
        at = 0
        while at < len(piece):
            size, body = decode_varint(piece, at + 1)
            yield piece[at : body + size]
            at = body + size


def key_of_row(row: bytes) -> bytes:
    """The key of a row, without looking at its value."""
    _, at = decode_varint(row, 1)
    size, at = decode_varint(row, at + 1)
    return row[at : at + size]


def decode_row(row: bytes) -> KeyValue:
    return decode_key_value(row, decode_varint(row, 1)[1])


def revisions_of_row(row: bytes) -> tuple[int, int, int]:
    """create_revision, mod_revision and version of a row, without looking at its value.

    All three are above 0 in a stored row, so all three fields are there, in order, after the key.
    """
    _, at = decode_varint(row, 1)
    key_size, at = decode_varint(row, at + 1)
    create, at = decode_varint(row, at + key_size + 1)
    mod, at = decode_varint(row, at + 1)
    version, _ = decode_varint(row, at + 1)
    return create, mod, version
