"""Saving over connections that break: what came is not sent again, and nothing wrong is kept."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from raftkv.api import rpc_pb2 as api
from raftkv.client import Client, RetryPolicy
from raftkv.client.snapshot import IMAGE_KEY, OFFSET_KEY, TRIES_MAX, SaveOptions
from raftkv.errors import Corrupt, RaftKVError

BLOB_BYTES = 1000
IMAGE = b"".join(bytes((n % 251,)) * BLOB_BYTES for n in range(2_500))


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def no_pause(seconds: float) -> None: ...


class KeepingMember(grpc.GenericRpcHandler):
    """Breaks each stream after ``blobs`` of them; keeps images as raftkv does, unless it is told
    to forget them or is etcd."""

    def __init__(self, blobs: int, *, is_etcd: bool = False, forgets_at: int = -1) -> None:
        self.blobs = blobs
        self.is_etcd = is_etcd
        self.forgets_at = forgets_at
        self.offsets: list[int] = []
        self.sent = 0
        self.streams = 0

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_stream_rpc_method_handler(self._stream)

    async def _stream(
        self, request: bytes, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        asked = dict(context.invocation_metadata() or ())
        at = 0
        if not self.is_etcd and self.streams != self.forgets_at:
            at = int(str(asked[OFFSET_KEY]))
        self.streams += 1
        self.offsets.append(at)
        first = api.SnapshotResponse()
        if not self.is_etcd:
            first = api.SnapshotResponse(raftkv_image=str(asked[IMAGE_KEY]), raftkv_offset=at)
        for _ in range(self.blobs):
            remaining = len(IMAGE) - at
            blob = IMAGE[at : at + BLOB_BYTES] or hashlib.sha256(IMAGE).digest()
            first.MergeFrom(api.SnapshotResponse(remaining_bytes=remaining, blob=blob))
            yield first.SerializeToString()
            first = api.SnapshotResponse()
            self.sent += len(blob)
            if not remaining:
                return
            at += len(blob)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection is lost")


async def saved(member: KeepingMember, path: Path, options: SaveOptions) -> int:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((member,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    policy = RetryPolicy(backoff_min_s=0.001, backoff_max_s=0.01)
    try:
        async with Client([f"127.0.0.1:{port}"], policy=policy, pause=no_pause) as client:
            return await client.maintenance.snapshot(str(path), options)
    finally:
        await server.stop(None)


@pytest.mark.parametrize("blobs", [100, 1250, 2500])
async def test_a_broken_stream_goes_on_where_it_was(tmp_path: Path, blobs: int) -> None:
    """However often it breaks, also before the checksum: no byte is sent twice but the last few
    that were under way, and the file is the image and its checksum."""
    member, went_on = KeepingMember(blobs), list[int]()
    path = tmp_path / "saved"
    size = await saved(member, path, SaveOptions(resumed=went_on.append))
    assert path.read_bytes() == IMAGE + hashlib.sha256(IMAGE).digest()
    assert size == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o600
    assert member.offsets == [0, *went_on]
    assert len(went_on) == 2_500 // blobs
    assert member.sent == size


async def test_an_image_that_is_gone_is_sent_anew(tmp_path: Path) -> None:
    """A member that has forgotten it starts at 0, and so does the file."""
    member = KeepingMember(2_000, forgets_at=1)
    path = tmp_path / "saved"
    await saved(member, path, SaveOptions())
    assert member.offsets == [0, 0, 2_000_000]
    assert path.read_bytes()[:-32] == IMAGE


async def test_etcd_sends_everything_anew(tmp_path: Path) -> None:
    """It says nothing of images: each stream is a new one, and after some tries it is given up with
    its own error and no file."""
    member = KeepingMember(2_000, is_etcd=True)
    with pytest.raises(RaftKVError, match="the connection is lost"):
        await saved(member, tmp_path / "saved", SaveOptions())
    assert member.offsets == [0] * TRIES_MAX
    assert files_in(tmp_path) == []


async def test_a_check_that_fails_leaves_no_file(tmp_path: Path) -> None:
    """The check sees the whole file under its partial name; what it raises is raised."""
    seen: list[tuple[str, int]] = []

    def check(path: str) -> None:
        seen.append((path, Path(path).stat().st_size))
        raise Corrupt("the tables are not those of a database")

    with pytest.raises(Corrupt, match="tables"):
        await saved(KeepingMember(9_999), tmp_path / "saved", SaveOptions(check=check))
    assert seen == [(f"{tmp_path}/saved.part", len(IMAGE) + 32)]
    assert files_in(tmp_path) == []


async def test_a_rate_limit_makes_pauses(tmp_path: Path) -> None:
    """At 100,000 bytes a second, 2.5 million take about 24 seconds of pauses (a second is free)."""
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((KeepingMember(9_999),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with Client([f"127.0.0.1:{port}"], pause=pause) as client:
        options = SaveOptions(rate_bytes_s=100_000)
        await client.maintenance.snapshot(str(tmp_path / "saved"), options)
    await server.stop(None)
    assert 15 < max(paused) < 25.1
