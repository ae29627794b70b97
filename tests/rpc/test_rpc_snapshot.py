"""Maintenance.Snapshot: the stream's form, its bounds, and its end."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_member import FakeMember

from raftkv.api.rpc_pb2 import SnapshotResponse
from raftkv.errors import NoLeader, RaftKVError
from raftkv.rpc.maintenance import maintenance_service
from raftkv.server.backup import Backup
from raftkv.wal.disk import CHUNK_BYTES, OsDisk

IMAGE = bytes(range(256)) * 4096 * 3  # three pieces of the disk's
Done = Callable[[BaseException | None], None]


def is_gone(path: Path) -> bool:
    return not path.exists()


class InlineWorker:
    """Does each job at once."""

    def run(self, job: Callable[[], None], done: Done) -> None:
        try:
            job()
        except OSError as error:
            done(error)
        else:
            done(None)


class SlowStream:
    """One request; a client that takes what is queued only when the handler waits for it."""

    metadata: dict[str, str] = {}

    def __init__(self) -> None:
        self._requests = [b""]
        self.sent: list[SnapshotResponse] = []
        self.backlog = 0
        self.backlog_max = 0
        self.gone = False

    def __aiter__(self) -> SlowStream:
        return self

    async def __anext__(self) -> bytes:
        if not self._requests:
            raise StopAsyncIteration
        return self._requests.pop()

    def send(self, message: bytes) -> None:
        self.sent.append(SnapshotResponse.FromString(message))
        self.backlog += len(message)
        self.backlog_max = max(self.backlog_max, self.backlog)

    async def drain(self) -> None:
        if self.gone:
            raise asyncio.CancelledError
        self.backlog = 0


@pytest.fixture
def image(member: FakeMember, tmp_path: Path) -> Path:
    """A copy of a database, as the member hands it out."""
    path = tmp_path / "copy"
    path.write_bytes(IMAGE)

    def open_backup(done: Callable[[Backup | RaftKVError], None]) -> None:
        backup = Backup(str(path), OsDisk(), InlineWorker(), lambda: None)
        backup.size = len(IMAGE)
        done(backup)

    member.maintenance.open_backup = open_backup  # type: ignore[attr-defined]
    return path


async def test_the_stream_is_etcds(member: FakeMember, image: Path) -> None:
    """Blobs of 32 KiB with what remains from each on, then the SHA-256 with nothing remaining;
    never more than one piece waits for the client; the copy is gone afterwards."""
    stream = SlowStream()
    await maintenance_service(member).streams["Snapshot"](stream)  # type: ignore[arg-type]
    *blobs, last = stream.sent
    assert b"".join(message.blob for message in blobs) == IMAGE
    assert {len(message.blob) for message in blobs} == {32 * 1024}
    remaining = [message.remaining_bytes for message in blobs]
    assert remaining == list(range(len(IMAGE), 0, -32 * 1024))
    assert (last.remaining_bytes, last.blob) == (0, hashlib.sha256(IMAGE).digest())
    assert {message.version for message in stream.sent} == {"3.7.0"}
    assert stream.backlog_max < CHUNK_BYTES + 64 * 1024
    assert is_gone(image)


async def test_a_client_that_goes_away(member: FakeMember, image: Path) -> None:
    """The copy goes with it, and no more of it is read."""
    stream = SlowStream()
    stream.gone = True
    with pytest.raises(asyncio.CancelledError):
        await maintenance_service(member).streams["Snapshot"](stream)  # type: ignore[arg-type]
    assert sum(len(message.blob) for message in stream.sent) == CHUNK_BYTES
    assert is_gone(image)


async def test_without_the_leader_that_is_asked_for(member: FakeMember, image: Path) -> None:
    """Metadata hasleader refuses the stream before any copy is made."""
    member.leader_id = 0
    stream = SlowStream()
    stream.metadata = {"hasleader": "true"}
    with pytest.raises(NoLeader):
        await maintenance_service(member).streams["Snapshot"](stream)  # type: ignore[arg-type]
    assert stream.sent == []
