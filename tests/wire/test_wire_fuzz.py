"""Anything at all, in any pieces: the connection answers, refuses or closes, and never raises."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.wire import frames
from raftkv.wire.limits import WireLimits
from raftkv.wire.service import Service, UnaryCall
from tests.wire.raw import Answer, RawClient, call_fields, message
from tests.wire.services import ODD_TEXT, make_service, status_of
from tests.wire.waiting import until

LIMITS = WireLimits(pings_burst=20, resets_burst=20)


def session() -> bytes:
    """A valid session with a bit of everything in it."""
    client = RawClient(hello=False)
    start = b"".join(
        (
            frames.settings({frames.Setting.INITIAL_WINDOW_SIZE: 100}),
            client.call(1, b"one"),
            client.call(3, b"three"),
            frames.SETTINGS_ACK,
            client.headers(5, call_fields("Grow")),
            client.data(5, message(b"3000")[:3]),
            frames.ping(b"abcdefgh", ack=False),
            client.data(5, message(b"3000")[3:], flags=1),
        )
    )
    block = client.encoder.encode(call_fields(grpc_timeout="5S"))
    return start + b"".join(
        (
            frames.frame(frames.HEADERS, 0, 7, block[:4]),
            frames.frame(frames.CONTINUATION, 4, 7, block[4:]),
            client.data(7, message(b"seven"), flags=1),
            frames.window_update(5, 2000),
            client.call(9, b"\x05" + ODD_TEXT.encode(), call_fields("Fail")),
            client.call(11, b"", call_fields("Nope")),
            frames.window_update(0, 5000),
            client.headers(13),
            frames.rst_stream(13, 8),
            frames.window_update(5, 5000),
            client.headers(15, call_fields(content_type="text/html"), flags=5),
            client.call(17, b"end"),
            frames.goaway(0, 0),
        )
    )


SESSION = session()


def play(pieces: list[bytes]) -> RawClient:
    client = RawClient(make_service(), LIMITS, hello=False)
    for piece in pieces:
        client.send(piece)
    return client.read()


WHOLE = play([SESSION])


def test_the_session_is_valid() -> None:
    """What the fuzzing starts from is served to its end."""
    assert WHOLE.failure is None
    assert WHOLE.answers[17].data == message(b"end")
    assert len(WHOLE.answers[5].data) == 3005
    assert WHOLE.connection.streams == {}


@given(st.lists(st.integers(0, len(SESSION)), max_size=30))
@settings(max_examples=300, deadline=None)
def test_splits_do_not_matter(cuts: list[int]) -> None:
    """Any split of a session gives the same answers as the session in one piece."""
    edges = [0, *sorted(cuts), len(SESSION)]
    client = play([SESSION[a:b] for a, b in itertools.pairwise(edges)])
    assert client.answers == WHOLE.answers
    assert client.goaways == WHOLE.goaways
    assert client.connection.streams == {}


def test_byte_by_byte() -> None:
    """The finest split of all."""
    client = play([SESSION[i : i + 1] for i in range(len(SESSION))])
    assert client.answers == WHOLE.answers


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_random_bytes(data: bytes) -> None:
    """Garbage after the preface never raises."""
    play([data])
    play([frames.settings({}) + data])


@given(
    st.lists(
        st.tuples(
            st.integers(0, 12), st.integers(0, 255), st.integers(0, 20), st.binary(max_size=60)
        ),
        max_size=25,
    )
)
@settings(max_examples=300, deadline=None)
def test_random_frames(made: list[tuple[int, int, int, bytes]]) -> None:
    """Well-framed nonsense never raises, and ends with nothing kept."""
    client = play([frames.settings({}), *(frames.frame(k, f, s, p) for k, f, s, p in made)])
    client.connection.abandon_all()
    assert client.connection.inflow.buffered_bytes == 0
    assert client.connection.output.backlog == 0


@given(
    st.lists(st.tuples(st.integers(0, len(SESSION) - 1), st.integers(0, 255)), max_size=8),
    st.integers(0, len(SESSION)),
    st.integers(0, len(SESSION)),
)
@settings(max_examples=400, deadline=None)
def test_mutated_sessions(changes: list[tuple[int, int]], cut: int, skip: int) -> None:
    """A session with bytes changed and a stretch missing never raises, and frees everything."""
    data = bytearray(SESSION)
    for position, value in changes:
        data[position] = value
    if changes and len(changes) % 3 == 0:
        del data[min(cut, skip) : max(cut, skip)]
    client = play([bytes(data[:cut]), bytes(data[cut:])])
    client.connection.abandon_all()
    assert client.connection.inflow.buffered_bytes == 0
    assert client.connection.output.backlog == 0


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_windows_hold_for_any_traffic(data: st.DataObject) -> None:
    """Whatever the client's windows do, DATA stays within them and every answer gets through."""
    sizes = data.draw(st.lists(st.integers(0, 5000), min_size=1, max_size=8))
    calls: list[UnaryCall] = []
    service = Service("test.Service", status_of, {"Echo": lambda m, call: calls.append(call)})
    client = RawClient(service)
    window = data.draw(st.integers(0, 3000))
    client.send(frames.settings({frames.Setting.INITIAL_WINDOW_SIZE: window}))
    for number in range(len(sizes)):
        client.send(client.call(2 * number + 1, b"x"))
    for call, size in zip(calls, sizes, strict=True):
        call.reply(b"r" * size)
    allowed = {2 * n + 1: window for n in range(len(sizes))}
    whole = frames.WINDOW_DEFAULT
    for _ in range(data.draw(st.integers(0, 10))):
        stream_id = data.draw(st.sampled_from(sorted(allowed)))
        more = data.draw(st.integers(1, 2000))
        allowed[stream_id] += more
        client.send(frames.window_update(stream_id, more)).read()
        for number, answer in client.answers.items():
            assert len(answer.data) <= allowed[number]
        assert sum(len(answer.data) for answer in client.answers.values()) <= whole
    for stream_id in allowed:
        client.send(frames.window_update(stream_id, 6000))
    client.send(frames.window_update(0, 60_000)).read()
    got = {number: len(answer.data) - 5 for number, answer in client.answers.items()}
    assert got == {2 * n + 1: size for n, size in enumerate(sizes)}


@given(st.lists(st.integers(0, 40_000), max_size=10), st.integers(300, 9000))
@settings(max_examples=40, deadline=None)
def test_streams_get_every_byte(sizes: list[int], piece: int) -> None:
    """A bidi stream whose bytes come in any pieces echoes every message."""

    async def run() -> bytes:
        client = RawClient(make_service())
        client.send(frames.window_update(0, 1 << 20), client.headers(1, call_fields("Bidi")))
        data = b"".join(message(b"m" * size) for size in sizes)
        for start in range(0, len(data), piece):
            client.send(client.data(1, data[start : start + piece]))
            client.send(frames.window_update(1, piece + 100))
            await asyncio.sleep(0)
            client.read()
        client.send(client.data(1, b"", flags=1))
        await until(lambda: client.read().answers and client.answers[1].ended)
        assert client.answers[1].code == 0
        return client.answers[1].data

    assert asyncio.run(run()) == b"".join(message(b"m" * size) for size in sizes)


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 400), st.integers(0, 400)), max_size=5),
    st.integers(1, 3000),
)
@settings(max_examples=40, deadline=None)
def test_like_messages_get_through_as_any_others(
    batches: list[tuple[int, int, int]], window: int
) -> None:
    """Made at once, whole in a frame or cut by the window: each comes with a prefix of its own."""

    async def run() -> bytes:
        client = RawClient(make_service())
        client.send(frames.settings({frames.Setting.INITIAL_WINDOW_SIZE: window}))
        client.send(frames.window_update(0, 1 << 20), client.headers(1, call_fields("Alike")))
        for batch in batches:
            client.send(client.data(1, message(b"%d %d %d" % batch)))
            # One turn of the loop, not a nap: the handler answers what it was just sent.
            await asyncio.sleep(0)
            assert len(client.read().answers.get(1, Answer()).data) <= window
        client.send(client.data(1, b"", flags=1))
        client.send(frames.window_update(1, 1 << 20))
        await until(lambda: client.read().answers and client.answers[1].ended)
        assert client.answers[1].code == 0
        return client.answers[1].data

    assert asyncio.run(run()) == b"".join(
        message(b"h" * head + index.to_bytes(4, "big") + b"t" * tail)
        for number, head, tail in batches
        for index in range(number)
    )
