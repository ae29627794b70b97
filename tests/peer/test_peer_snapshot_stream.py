"""A snapshot on its way in: the disk sets the pace, and no more waits than was read already."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from raftkv.peer.codec import encode_message
from raftkv.peer.framing import Answer, Greeting, Purpose, encode_answer, encode_frame
from raftkv.peer.snapshot_stream import SnapshotSink
from raftkv.raft.message import ConfState, Message, MessageType, Snapshot, SnapshotMeta

SNAPSHOT = Message(
    MessageType.SNAP,
    2,
    1,
    term=3,
    snapshot=Snapshot(SnapshotMeta(9, 3, ConfState(voters=(1, 2)))),
)


class Wire(asyncio.Transport):
    """Notes whether it is read from, and what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = True
        self.is_closed = False
        self.written = b""

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data


class SlowWorker:
    """Does a job when it is told to."""

    def __init__(self) -> None:
        self.jobs: deque[tuple[Callable[[], None], Callable[[BaseException | None], None]]] = (
            deque()
        )

    def run(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        self.jobs.append((job, done))

    def work(self) -> None:
        job, done = self.jobs.popleft()
        try:
            job()
        except OSError as error:
            done(error)
        else:
            done(None)


class NotedFile:
    """``error`` is what the next write ends with."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.committed = 0
        self.discarded = False
        self.error: OSError | None = None

    def write(self, chunk: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.chunks.append(chunk)

    def commit(self, index: int) -> None:
        self.committed = index

    def discard(self) -> None:
        self.discarded = True


class Receiver:
    def __init__(self) -> None:
        self.wire, self.worker, self.file = Wire(), SlowWorker(), NotedFile()
        self.delivered: list[Message] = []
        greeting = Greeting(7, 1, 2, Purpose.SNAPSHOT)
        self.sink = SnapshotSink(greeting, self.wire, self.worker, self.file, self.delivered.append)
        self.sink.feed(encode_frame(encode_message(SNAPSHOT)))


def test_nothing_more_is_read_while_the_disk_writes() -> None:
    """Reading stops with the first chunk that the disk does not have yet, and goes on when it has
    all: what waits is what one read brought, however slow the disk and large the snapshot is."""
    receiver = Receiver()
    for number in range(3):
        assert receiver.wire.is_read
        receiver.sink.feed(encode_frame(b"a%d" % number) + encode_frame(b"b%d" % number))
        assert not receiver.wire.is_read
        assert len(receiver.worker.jobs) == 2
        receiver.worker.work()
        assert not receiver.wire.is_read
        receiver.worker.work()
    receiver.sink.feed(encode_frame(b""))
    assert receiver.delivered == []
    receiver.worker.work()
    assert receiver.file.chunks == [b"a0", b"b0", b"a1", b"b1", b"a2", b"b2"]
    assert receiver.file.committed == 9
    assert [message.snapshot for message in receiver.delivered] == [SNAPSHOT.snapshot]
    assert receiver.wire.written == encode_answer(Answer.OK)


def test_a_disk_without_room_refuses_the_rest() -> None:
    """The sender is told, the connection ends, and the unfinished file goes."""
    receiver = Receiver()
    receiver.file.error = OSError(28, "No space left on device")
    receiver.sink.feed(encode_frame(b"image"))
    receiver.worker.work()
    assert receiver.wire.written == encode_answer(Answer.REFUSED)
    assert receiver.wire.is_closed
    receiver.sink.lost()
    receiver.worker.work()
    assert receiver.file.discarded
    assert receiver.delivered == []
