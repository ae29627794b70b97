"""RFC 7541 (HPACK) by section number: what a decoder must take, and what it must refuse."""

from __future__ import annotations

import hpack
import pytest

from raftkv.wire import frames
from raftkv.wire.frames import ConnectionFailure, ErrorCode
from raftkv.wire.headers import Field, HeaderDecoder, block_of
from raftkv.wire.limits import WireLimits
from tests.wire.raw import RawClient

LIMIT = 4_096


def decoder(limit: int = 65_536) -> HeaderDecoder[list[Field]]:
    return HeaderDecoder(WireLimits(header_list_bytes_max=limit), list)


def literal(name: bytes, value: bytes, first: int = 0x40) -> bytes:
    """A literal field with a new name; by default one that goes into the table."""
    return bytes((first, len(name))) + name + b"\x7f" + integer(len(value) - 127) + value


def integer(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


ERRORS = [
    ("2.3.3-beyond-both-tables", b"\xbe"),
    ("2.3.3-far-beyond", b"\xff\xff\x7f"),
    ("2.3.3-name-beyond-both-tables", b"\x7f\x00\x01a"),
    ("4.2-update-after-a-field", b"\x82\x20"),
    ("5.1-integer-without-end", b"\xff"),
    ("5.1-too-many-octets", b"\xff\x80\x80\x80\x80\x80\x00"),
    ("5.1-too-large", b"\xff\xff\xff\xff\xff\x0f"),
    ("5.1-length-too-large", b"\x00\x7f\xff\xff\xff\xff\xff\xff\x7f"),
    ("5.2-string-beyond-the-block", b"\x00\x05ab"),
    ("5.2-no-value", b"\x00\x01a"),
    ("5.2-nothing-but-a-kind", b"\x40"),
    ("5.2-padding-over-7-bits", b"\x00\x82\x1f\xff\x01a"),
    ("5.2-padding-of-zeroes", b"\x00\x81\x18\x01a"),
    ("5.2-end-of-string-symbol", b"\x00\x84\xff\xff\xff\xfc\x01a"),
    ("5.2-nothing-but-padding", b"\x00\x81\xff\x01a"),
    ("6.1-index-0", b"\x80"),
    ("6.3-over-the-limit", b"\x3f\xe2\x1f\x82"),
    ("6.3-far-over-the-limit", b"\x3f\xff\xff\xff\x07"),
]


@pytest.mark.parametrize("block", [pytest.param(block, id=i) for i, block in ERRORS])
def test_decoding_error(block: bytes) -> None:
    """What HPACK calls a decoding error is a COMPRESSION_ERROR of the connection, alone or after
    a good field."""
    for data in (block, b"\x00\x01a\x01b" + block):
        client = RawClient()
        client.send(frames.frame(frames.HEADERS, 5, 1, data))
        assert client.failure == ErrorCode.COMPRESSION_ERROR


def test_2_3_2_newest_first() -> None:
    """2.3.2: the table is first in, first out, and the newest entry has the lowest index."""
    peer = decoder()
    peer.decode(literal(b"a", b"1" * 130) + literal(b"b", b"2" * 130))
    assert peer.decode(b"\xbe\xbf") == [(b"b", b"2" * 130), (b"a", b"1" * 130)]


def test_2_3_2_duplicates_are_entries() -> None:
    """2.3.2: the same field twice in the table is no error."""
    peer = decoder()
    peer.decode(literal(b"a", b"x" * 130) * 2)
    assert peer.decode(b"\xbe\xbf") == [(b"a", b"x" * 130)] * 2


def test_2_3_3_an_index_means_the_table_of_its_moment() -> None:
    """2.3.3, 3.2: within one block an index counts from what was inserted just before it."""
    peer = decoder()
    block = literal(b"a", b"1" * 130) + b"\xbe" + literal(b"b", b"2" * 130) + b"\xbe\xbf"
    names = [name for name, _ in peer.decode(block)]
    assert names == [b"a", b"a", b"b", b"b", b"a"]


def test_3_2_order_is_kept() -> None:
    """3.2: fields come out in the order of the block, equal names too."""
    peer = decoder()
    fields = [("a", "1"), ("b", "2"), ("a", "3"), (":path", "/late")]
    encoded = hpack.Encoder().encode(fields)
    assert peer.decode(encoded) == [(n.encode(), v.encode()) for n, v in fields]


def test_4_1_the_overhead_counts() -> None:
    """4.1: an entry weighs its name, its value and 32: 4,096 hold 32 of 128 and no more."""
    peer = decoder()
    for number in range(33):
        peer.decode(b"\x40\x01a\x5f" + b"%095d" % number)
    assert peer.decode(b"\xbe") == [(b"a", b"%095d" % 32)]
    assert peer.decode(b"\xdd") == [(b"a", b"%095d" % 1)]
    with pytest.raises(ConnectionFailure, match="COMPRESSION_ERROR"):
        peer.decode(b"\xde")


def test_4_2_updates_at_the_beginning() -> None:
    """4.2: the smallest size and the last one are both told before the first field."""
    peer = decoder()
    peer.decode(b"\x40\x01a\x01b")
    assert peer.decode(b"\x20\x3f\xe1\x1f\x82") == [(b":method", b"GET")]
    with pytest.raises(ConnectionFailure, match="COMPRESSION_ERROR"):
        peer.decode(b"\xbe")


def test_4_3_a_smaller_table_evicts() -> None:
    """4.3: what no longer fits goes at once, oldest first, and does not come back."""
    peer = decoder()
    peer.decode(b"\x40\x01a\x01b" + b"\x40\x01c\x01d")
    peer.decode(b"\x3f\x03")  # 34: one of two entries
    peer.decode(b"\x3f\xe1\x1f")
    assert peer.decode(b"\xbe") == [(b"c", b"d")]
    with pytest.raises(ConnectionFailure, match="COMPRESSION_ERROR"):
        peer.decode(b"\xbf")


def test_4_4_a_name_may_come_from_the_entry_that_goes() -> None:
    """4.4: an entry whose name is the index of one that it evicts is whole all the same."""
    peer = decoder()
    peer.decode(literal(b"name", b"x" * 4_000))
    block = b"\x7e" + b"\x7f" + integer(4_000 - 127) + b"y" * 4_000
    assert peer.decode(block) == [(b"name", b"y" * 4_000)]
    assert peer.decode(b"\xbe") == [(b"name", b"y" * 4_000)]


def test_4_4_an_entry_larger_than_the_table_empties_it() -> None:
    """4.4: it is no error, and is a field of its block."""
    peer = decoder()
    peer.decode(b"\x40\x01a\x01b")
    assert peer.decode(literal(b"a", b"z" * 5_000)) == [(b"a", b"z" * 5_000)]
    with pytest.raises(ConnectionFailure, match="COMPRESSION_ERROR"):
        peer.decode(b"\xbe")


@pytest.mark.parametrize(
    ("block", "value"),
    [
        pytest.param(b"\xff\x00", b"34", id="one-octet-of-zero"),
        pytest.param(b"\xff\x80\x80\x80\x00", b"34", id="octets-that-add-nothing"),
        pytest.param(b"\xff\x0a", b"24", id="ten-more"),
        pytest.param(b"\x0f\x70\x01v", b"v", id="four-bit-prefix"),
        pytest.param(b"\x7f\x40\x01v", b"v", id="six-bit-prefix"),
    ],
)
def test_5_1_integers_with_a_tail(block: bytes, value: bytes) -> None:
    """5.1: a prefix full of ones goes on in the octets after it."""
    peer = decoder()
    for number in range(100):
        peer.decode(b"\x40\x01x\x02%02d" % number)
    assert peer.decode(block) == [(b"x", value)]


def test_5_2_huffman_of_every_length() -> None:
    """5.2: strings of every octet, with up to 7 bits of padding, come out as they went in."""
    for length in range(40):
        value = bytes((length * 37 + n * 11) % 95 + 32 for n in range(length)).decode()
        encoded = hpack.Encoder().encode([("x-a", value)], huffman=True)
        assert decoder().decode(encoded) == [(b"x-a", value.encode())]


@pytest.mark.parametrize("first", [0x00, 0x10])
def test_6_2_literals_that_stay_out_of_the_table(first: int) -> None:
    """6.2.2, 6.2.3: neither a literal without indexing nor one never to be indexed goes in."""
    peer = decoder()
    assert peer.decode(bytes((first, 1)) + b"a\x01b") == [(b"a", b"b")]
    with pytest.raises(ConnectionFailure, match="COMPRESSION_ERROR"):
        peer.decode(b"\xbe")


def test_6_3_up_to_the_limit() -> None:
    """6.3: 4,096, which is what we announce by saying nothing, is allowed; 4,097 is not."""
    peer = decoder()
    assert peer.decode(b"\x3f\xe1\x1f\x82") == [(b":method", b"GET")]
    with pytest.raises(ConnectionFailure, match="table size 4097 over 4096"):
        peer.decode(b"\x3f\xe2\x1f\x82")


def test_7_3_what_a_block_can_make_of_itself_is_bounded() -> None:
    """7.3: many references to one long entry stop at the header list's limit."""
    peer = decoder(limit=16_384)
    peer.decode(literal(b"a", b"x" * 4_000))
    with pytest.raises(ConnectionFailure, match="header list larger than 16384 bytes"):
        peer.decode(b"\xbe" * 5)


def test_c_our_own_blocks_are_hpack() -> None:
    """6.2.2: the blocks of answers are read by another decoder, and leave its table alone."""
    fields = [(b":status", b"200"), (b"x-long", b"v" * 300), (b"grpc-status", b"0")]
    reader = hpack.Decoder()
    assert reader.decode(block_of(fields), raw=True) == fields
    assert len(reader.header_table.dynamic_entries) == 0
