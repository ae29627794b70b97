"""DATA frames cut from a queue of pieces, whatever their sizes."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from raftkv.wire import frames
from raftkv.wire.output import Chunk, cut_frames

STREAM_ID = 7


def payloads(data: bytes) -> list[bytes]:
    """The payloads of the DATA frames of which ``data`` must consist."""
    found = []
    at = 0
    while at < len(data):
        word, flags, stream_id = frames.HEAD.unpack_from(data, at)
        assert (word & 0xFF, flags, stream_id) == (frames.DATA, 0, STREAM_ID)
        end = at + frames.HEAD_BYTES + (word >> 8)
        assert end <= len(data), "the last frame is cut short"
        found.append(data[at + frames.HEAD_BYTES : end])
        at = end
    return found


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    largest=st.integers(1, 50),
    data=st.data(),
)
def test_frames_hold_the_queues_bytes(sizes: list[int], largest: int, data: st.DataObject) -> None:
    """In turns of any size: all bytes leave in order, in frames that are full but for a turn's
    last, and what has not left is still queued, with no empty piece."""
    body = bytes(range(256)) * 2
    queue: deque[Chunk] = deque()
    queued = 0
    for size in sizes:
        queue.append(body[queued : queued + size])
        queued += size
    sent = b""
    while queued:
        turn = data.draw(st.integers(1, queued))
        chunks: list[Chunk] = []
        cut_frames(queue, turn, largest, STREAM_ID, chunks)
        found = payloads(b"".join(chunks))
        assert [len(one) for one in found[:-1]] == [largest] * (len(found) - 1)
        assert 0 < len(found[-1]) <= largest
        assert sum(map(len, found)) == turn
        sent += b"".join(found)
        queued -= turn
        assert b"".join(queue) == body[len(sent) : len(sent) + queued]
        assert all(queue)
    assert sent == body[: sum(sizes)]
    assert not queue
