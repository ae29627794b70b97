"""Saving a snapshot: what is whole gets its name, and nothing else does."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc
import pytest

from raftkv.api import rpc_pb2 as api
from raftkv.client import Client
from raftkv.client.snapshot import SaveOptions
from raftkv.errors import Corrupt, RaftKVError

BLOBS = (b"a" * 1000, b"b" * 500)
DIGEST = hashlib.sha256(b"".join(BLOBS)).digest()


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


class Member(grpc.GenericRpcHandler):
    """Streams ``blobs``; aborts after them when ``fails``."""

    def __init__(self, blobs: Sequence[bytes], *, fails: bool = False) -> None:
        self.blobs = blobs
        self.fails = fails

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        assert details.method == "/etcdserverpb.Maintenance/Snapshot"
        return grpc.unary_stream_rpc_method_handler(self._stream)

    async def _stream(
        self, request: bytes, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        remaining = sum(map(len, self.blobs)) - 32
        for blob in self.blobs:
            message = api.SnapshotResponse(remaining_bytes=max(remaining, 0), blob=blob)
            yield message.SerializeToString()
            remaining -= len(blob)
        if self.fails:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "etcdserver: server stopped")


async def saved(member: Member, path: Path, told: list[tuple[int, int]]) -> int:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((member,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with Client([f"127.0.0.1:{port}"]) as client:
            options = SaveOptions(progress=lambda came, size: told.append((came, size)))
            return await client.maintenance.snapshot(str(path), options)
    finally:
        await server.stop(None)


async def test_a_whole_stream_is_saved(tmp_path: Path) -> None:
    """The file is the blobs and their checksum; progress ends at its size."""
    path, told = tmp_path / "saved", list[tuple[int, int]]()
    assert await saved(Member((*BLOBS, DIGEST)), path, told) == 1532
    assert path.read_bytes() == b"".join(BLOBS) + DIGEST
    assert told == [(1000, 1500), (1500, 1500), (1532, 1532)]


@pytest.mark.parametrize(
    "blobs", [BLOBS, (BLOBS[0], DIGEST), (*BLOBS, DIGEST, b"x"), (*BLOBS, b"\0" * 32), ()]
)
async def test_what_fails_its_checksum_is_not_kept(
    tmp_path: Path, blobs: tuple[bytes, ...]
) -> None:
    """No checksum, a piece missing, something after it, another one, nothing at all."""
    path = tmp_path / "saved"
    path.write_bytes(b"the last good one")
    with pytest.raises(Corrupt):
        await saved(Member(blobs), path, [])
    assert path.read_bytes() == b"the last good one"
    assert files_in(tmp_path) == [path]


async def test_a_stream_that_ends_early_is_not_kept(tmp_path: Path) -> None:
    """The member's own error is what the caller sees."""
    with pytest.raises(RaftKVError, match="server stopped"):
        await saved(Member(BLOBS, fails=True), tmp_path / "saved", [])
    assert files_in(tmp_path) == []
