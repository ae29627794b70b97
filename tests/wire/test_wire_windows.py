"""Flow control, both ways, with frames made by hand and no socket (section numbers: RFC 9113)."""

from __future__ import annotations

from raftkv.wire import frames
from raftkv.wire.frames import ErrorCode, Setting
from raftkv.wire.limits import WireLimits
from tests.wire.raw import RawClient, call_fields, message
from tests.wire.services import make_service


def test_reply_waits_for_stream_window() -> None:
    """5.2: a reply larger than the client's stream window waits for WINDOW_UPDATE."""
    client = RawClient()
    client.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 10}))
    client.send(client.call(1, b"x" * 100))
    assert client.answer(1).data == message(b"x" * 100)[:10]
    client.send(frames.window_update(1, 20))
    assert len(client.answer(1).data) == 30
    assert not client.answer(1).ended
    client.send(frames.window_update(1, 1000))
    assert client.answer(1).data == message(b"x" * 100)
    assert client.answer(1).ended
    assert client.connection.output.backlog == 0


def test_reply_waits_for_connection_window() -> None:
    """5.2: all streams together stay within the connection's window, and share it in turns."""
    client = RawClient()
    client.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 1 << 20}))
    client.send(*(client.call(i, b"60000", call_fields("Grow")) for i in (1, 3, 5)))
    got = [len(client.answer(i).data) for i in (1, 3, 5)]
    assert sum(got) == frames.WINDOW_DEFAULT
    assert all(n > 0 for n in got)
    client.send(frames.window_update(0, 200_000))
    assert [len(client.answer(i).data) for i in (1, 3, 5)] == [60_005] * 3


def test_small_reply_passes_a_blocked_stream() -> None:
    """A stream without a window does not stop the others."""
    client = RawClient()
    client.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 50}))
    client.send(client.call(1, b"x" * 100), client.call(3, b"small"))
    assert client.answer(3).ended
    assert not client.answer(1).ended


def test_initial_window_change_applies_to_open_streams() -> None:
    """6.9.2: a later SETTINGS_INITIAL_WINDOW_SIZE moves open streams' windows, below zero too."""
    client = RawClient()
    client.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 50}))
    client.send(client.call(1, b"x" * 95))
    assert len(client.answer(1).data) == 50
    client.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 20}))
    client.send(frames.window_update(1, 30))
    assert len(client.answer(1).data) == 50  # -30 + 30 = 0 left
    client.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 70}))
    assert client.answer(1).ended
    assert client.answer(1).data == message(b"x" * 95)


def test_initial_window_overflow() -> None:
    """6.9.2: a change that overflows an open stream's window ends the connection."""
    client = RawClient()
    client.send(client.headers(1), frames.window_update(1, 1000))
    client.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: frames.WINDOW_MAX}))
    assert client.failure == ErrorCode.FLOW_CONTROL_ERROR


def test_peers_frame_size_is_kept() -> None:
    """4.2: frames are no larger than the client allows, and larger once it allows more."""
    for setting, largest in ((16_384, 16_384), (40_000, 40_000), (1 << 20, 65_536)):
        client = RawClient()
        client.send(
            frames.settings(
                {Setting.MAX_FRAME_SIZE: setting, Setting.INITIAL_WINDOW_SIZE: 1 << 20}
            ),
            frames.window_update(0, 1 << 20),
        )
        client.read().sent = b""
        client.send(client.call(1, b"200000", call_fields("Grow")))
        client.read()
        sizes, position = [], 0
        while position < len(client.sent):
            head = frames.HEAD.unpack_from(client.sent, position)[0]
            if head & 0xFF == frames.DATA:
                sizes.append(head >> 8)
            position += 9 + (head >> 8)
        assert max(sizes) == largest


def test_receive_windows_are_enforced() -> None:
    """5.2: more DATA than the window allows is a flow control error of stream or connection."""
    limits = WireLimits(stream_window_bytes=16_384, connection_window_bytes=65_535)
    calls = make_service()
    client = RawClient(calls, limits)
    part = b"\0\0\x10\0\0" + b"x" * 8187
    client.send(client.headers(1), client.data(1, part), client.data(1, b"x" * 8000))
    assert client.read().answers == {}
    grants = [frame for frame in client.control if frame.stream_id == 1]
    assert sum(int.from_bytes(g.payload, "big") for g in grants) >= 8192
    client = RawClient(calls, limits)
    client.send(
        client.headers(1), client.data(1, b"\0\0\x10\0\0"), *[client.data(1, b"x" * 8190)] * 9
    )
    assert client.failure == ErrorCode.FLOW_CONTROL_ERROR


def test_windows_are_given_back() -> None:
    """5.2: the connection's window is refilled as requests arrive, once a read."""
    client = RawClient()
    stream_id = 1
    for _ in range(1000):
        client.send(
            client.call(stream_id, b"x" * 10_000), client.call(stream_id + 2, b"y" * 10_000)
        )
        stream_id += 4
        client.send(frames.window_update(0, 20_010))
    assert client.failure is None
    updates = [c for c in client.control if c.kind == frames.WINDOW_UPDATE and c.stream_id == 0]
    assert 3 <= len(updates) <= 20


def test_a_reply_of_100_mib_leaves_write_by_write_and_lets_others_through() -> None:
    """With windows wide open, a write holds no more than its bound and a frame; a small reply that
    is made meanwhile leaves with the next one, whole."""
    client = RawClient()
    client.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: frames.WINDOW_MAX}))
    client.send(frames.window_update(0, frames.WINDOW_MAX - frames.WINDOW_DEFAULT))
    connection, output = client.connection, client.connection.output
    bytes_max = WireLimits().write_bytes_max
    connection.receive(client.call(1, b"1600 65536", call_fields("Pieces")), 0.0)
    writes = 0
    for stream_id in (3, 5, 7):
        written = output.take(bytes_max)
        assert b"put" not in written
        connection.receive(client.call(stream_id, b"put"), 0.0)
        written = output.take(bytes_max)
        assert b"put" in written
        assert len(written) < 1.1 * bytes_max + output.frame_bytes_max
        writes += 2
    while output.backlog:
        assert len(output.take(bytes_max)) < 1.1 * bytes_max + output.frame_bytes_max
        writes += 1
    assert writes == 1600 * 65536 // bytes_max + 1
