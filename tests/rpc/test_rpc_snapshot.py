"""Maintenance.Snapshot: the stream's form, its bounds, and its end."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_member import FakeMember

from raftkv.api.rpc_pb2 import SnapshotResponse
from raftkv.errors import InvalidRequest, NoLeader, RaftKVError
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


def make_again(path: Path) -> None:
    path.write_bytes(IMAGE)


class KeptImages:
    """The part of a member's upkeep that keeps copies; without a clock."""

    def __init__(self, member: FakeMember, path: Path) -> None:
        self.kept: dict[str, Backup] = {}
        self.path = path
        upkeep: Any = member.maintenance
        upkeep.keep_backup = self.kept.__setitem__
        upkeep.take_backup = lambda name: self.kept.pop(name, None)


async def broken_stream(member: FakeMember, metadata: dict[str, str]) -> SlowStream:
    stream = SlowStream()
    stream.metadata = metadata
    stream.gone = True
    with pytest.raises(asyncio.CancelledError):
        await maintenance_service(member).streams["Snapshot"](stream)  # type: ignore[arg-type]
    return stream


@pytest.mark.parametrize("offset", [0, 1, 32 * 1024, CHUNK_BYTES])
async def test_a_named_image_goes_on(member: FakeMember, image: Path, offset: int) -> None:
    """A client that lost its connection gets the rest from its offset on, with the checksum of the
    whole; the first message says where it begins; then the copy is gone."""
    keeping = KeptImages(member, image)
    first = await broken_stream(member, {"raftkv-snapshot-image": "mine"})
    assert (first.sent[0].raftkv_image, first.sent[0].raftkv_offset) == ("mine", 0)
    assert list(keeping.kept) == ["mine"]
    stream = SlowStream()
    stream.metadata = {
        "raftkv-snapshot-image": "mine",
        "raftkv-snapshot-offset": str(offset),
    }
    await maintenance_service(member).streams["Snapshot"](stream)  # type: ignore[arg-type]
    *blobs, last = stream.sent
    assert (blobs[0].raftkv_image, blobs[0].raftkv_offset) == ("mine", offset)
    assert blobs[0].remaining_bytes == len(IMAGE) - offset
    assert b"".join(message.blob for message in blobs) == IMAGE[offset:]
    assert last.blob == hashlib.sha256(IMAGE).digest()
    assert not any(message.raftkv_image for message in stream.sent[1:])
    assert not keeping.kept
    assert is_gone(image)


async def test_an_offset_that_was_never_sent(member: FakeMember, image: Path) -> None:
    """A new copy from its start, and the first message says so; the old one is closed."""
    keeping = KeptImages(member, image)
    await broken_stream(member, {"raftkv-snapshot-image": "mine"})
    make_again(image)
    taken = keeping.kept["mine"]
    taken.close = lambda: None  # type: ignore[method-assign]  # the next copy has the same path
    stream = SlowStream()
    stream.metadata = {
        "raftkv-snapshot-image": "mine",
        "raftkv-snapshot-offset": str(len(IMAGE) - 1),
    }
    await maintenance_service(member).streams["Snapshot"](stream)  # type: ignore[arg-type]
    assert stream.sent[0].raftkv_offset == 0
    assert b"".join(message.blob for message in stream.sent[:-1]) == IMAGE


@pytest.mark.parametrize(
    "metadata",
    [
        {"raftkv-snapshot-image": "x" * 65},
        {"raftkv-snapshot-image": "x", "raftkv-snapshot-offset": "-1"},
        {"raftkv-snapshot-image": "x", "raftkv-snapshot-offset": "9" * 19},
        {"raftkv-snapshot-image": "x", "raftkv-snapshot-offset": "one"},
    ],
)
async def test_names_and_offsets_are_bounded(
    member: FakeMember, image: Path, metadata: dict[str, str]
) -> None:
    """Refused before any copy is made."""
    stream = SlowStream()
    stream.metadata = metadata
    with pytest.raises(InvalidRequest):
        await maintenance_service(member).streams["Snapshot"](stream)  # type: ignore[arg-type]
    assert stream.sent == []
