"""The bytes between members: everything comes back, nothing else is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftkv.peer.codec import PeerProtocolError, decode_message, encode_message
from raftkv.peer.framing import FrameReader, Greeting, Purpose, encode_frame
from raftkv.raft.message import (
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    Snapshot,
    SnapshotMeta,
)

u64 = st.integers(0, 2**64 - 1)
ids = st.lists(u64, max_size=5).map(tuple)
entries = st.builds(Entry, u64, u64, st.binary(max_size=64), st.sampled_from(EntryType))
conf_states = st.builds(ConfState, ids, ids, ids, ids, st.booleans())
snapshots = st.builds(
    Snapshot, st.builds(SnapshotMeta, u64, u64, conf_states), st.binary(max_size=64)
)
messages = st.builds(
    Message,
    type=st.sampled_from(MessageType),
    to=u64,
    sender=u64,
    term=u64,
    index=u64,
    log_term=u64,
    commit=u64,
    reject=st.booleans(),
    reject_hint=u64,
    context=st.binary(max_size=32),
    entries=st.lists(entries, max_size=4).map(tuple),
    snapshot=st.none() | snapshots,
)


@given(messages)
def test_message_round_trip(message: Message) -> None:
    """A decoded message equals the one that was encoded, in every field."""
    assert decode_message(encode_message(message)) == message


@given(messages, st.data())
def test_a_cut_or_lengthened_message_is_refused(message: Message, data: st.DataObject) -> None:
    """A message that is not exactly its own length is an error, never another message."""
    encoded = encode_message(message)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for wrong in (encoded[:cut], encoded + b"\0"):
        with pytest.raises(PeerProtocolError):
            decode_message(wrong)


@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    """Random bytes raise PeerProtocolError or happen to be a message; nothing else escapes."""
    try:
        message = decode_message(garbage)
    except PeerProtocolError:
        return
    assert decode_message(encode_message(message)) == message


@given(st.lists(st.binary(max_size=100), max_size=8), st.data())
def test_frames_survive_any_split(bodies: list[bytes], data: st.DataObject) -> None:
    """However the stream is cut into reads, the same frames come out in order."""
    stream = b"".join(encode_frame(body) for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = FrameReader(100)
    got = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += list(reader.feed(stream[start:end]))
    assert got == bodies


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_flipped_bit_in_a_frame_is_noticed(body: bytes, data: st.DataObject) -> None:
    """A changed body or checksum never comes out as a frame."""
    frame = bytearray(encode_frame(body))
    bit = data.draw(st.integers(4 * 8, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(PeerProtocolError, match="CRC32C"):
        list(FrameReader(1000).feed(bytes(frame)))


def test_an_oversized_frame_is_refused_by_its_length_alone() -> None:
    """The limit is checked before the body is waited for."""
    with pytest.raises(PeerProtocolError, match="101 bytes is over the limit of 100"):
        list(FrameReader(100).feed(encode_frame(b"x" * 101)[:8]))


@given(u64, u64, u64, st.sampled_from(Purpose))
def test_greeting_round_trip(cluster: int, sender: int, target: int, purpose: Purpose) -> None:
    """A greeting says the same after the wire."""
    greeting = Greeting(cluster, sender, target, purpose)
    assert Greeting.decode(greeting.encode()) == greeting


def test_a_greeting_of_another_protocol_is_refused() -> None:
    """An HTTP request of a greeting's length is told from a greeting."""
    with pytest.raises(PeerProtocolError, match="greeting starts with"):
        Greeting.decode(b"GET / HTTP/1.1\r\nHost: localhost\r\n"[:31])
