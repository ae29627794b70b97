"""KV.RangeStream: merged, its chunks are the answer of Range, whatever happens between them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from fake_member import FakeMember, reply, start
from fake_stream import FakeStream, serve
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raftkv.api.rpc_pb2 import (
    CompactionRequest,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RangeResponse,
    RangeStreamResponse,
)
from raftkv.errors import LeaderChanged
from raftkv.mvcc import range_cursor
from raftkv.rpc.kv import kv_service
from raftkv.rpc.range_stream import ROWS_AT_FIRST, next_rows_max
from raftkv.server.config import Limits
from raftkv.wire.service import Service, Status

CHUNK_BYTES = 60
COMPACTED = Status(11, "etcdserver: mvcc: required revision has been compacted")


@contextmanager
def serving(chunk_bytes: int = CHUNK_BYTES) -> Iterator[tuple[FakeMember, Service]]:
    with tempfile.TemporaryDirectory() as directory:
        limits = Limits(request_bytes_max=chunk_bytes)
        member = FakeMember(Path(directory) / "db", limits)
        try:
            yield member, kv_service(member)
        finally:
            member.backend.close()


async def streamed(
    kv: Service, request: RangeRequest, drained: Callable[[], None] = lambda: None
) -> tuple[Status, list[RangeResponse]]:
    stream = FakeStream([request], drained=drained)
    status = await serve(kv, "RangeStream", stream)
    chunks = [RangeStreamResponse.FromString(each).range_response for each in stream.sent]
    return status, chunks


def merged(chunks: list[RangeResponse]) -> RangeResponse:
    whole = RangeStreamResponse()
    for chunk in chunks:
        whole.MergeFrom(RangeStreamResponse(range_response=chunk))
    return whole.range_response


# Long keys are kept in another way, and sort among the short ones.
keys = st.sampled_from([b"a", b"b", b"b/1", b"b/2", b"c", b"d", b"l" * 600, b"l" * 600 + b"x"])
ends = st.sampled_from([b"", b"\0", b"b0", b"c", b"m", b"a"])
writes: st.SearchStrategy[Message] = st.one_of(
    st.builds(PutRequest, key=keys, value=st.binary(max_size=30)),
    st.builds(PutRequest, key=st.binary(min_size=1, max_size=2), value=st.just(b"v")),
    st.builds(DeleteRangeRequest, key=keys, range_end=ends),
)
requests = st.builds(
    RangeRequest,
    key=keys,
    range_end=ends,
    limit=st.integers(-1, 12),
    revision=st.integers(-1, 30),
    sort_order=st.sampled_from([RangeRequest.NONE, RangeRequest.ASCEND]),
    keys_only=st.booleans(),
    count_only=st.booleans(),
    serializable=st.booleans(),
)


def write(kv: Service, requests: list[Message]) -> None:
    for request in requests:
        name = "Put" if isinstance(request, PutRequest) else "DeleteRange"
        start(kv, name, request)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=st.lists(writes, max_size=40),
    request=requests,
    meanwhile=st.lists(st.lists(writes, max_size=3), max_size=8),
    counted_per_step=st.integers(1, 4),
)
def test_merged_chunks_are_the_answer_of_range(
    before: list[Message],
    request: RangeRequest,
    meanwhile: list[list[Message]],
    counted_per_step: int,
) -> None:
    """A random store and request; random writes between the chunks change nothing of the answer."""
    with serving() as (_, kv), pytest.MonkeyPatch.context() as patch:
        patch.setattr(range_cursor, "ROWS_COUNTED_PER_STEP", counted_per_step)
        write(kv, before)
        expected = start(kv, "Range", request).answer
        batches = iter(meanwhile)
        status, chunks = asyncio.run(streamed(kv, request, lambda: write(kv, next(batches, []))))
        if isinstance(expected, Status):
            assert (status, chunks) == (expected, [])
            return
        assert status == Status(0)
        assert merged(chunks) == RangeResponse.FromString(expected)
        for chunk in chunks[:-1]:
            assert chunk.kvs, "an empty chunk before the last"
            assert not chunk.HasField("header")
            assert (chunk.more, chunk.count) == (False, 0)
        assert chunks[-1].HasField("header")


async def test_the_first_chunk_has_ten_rows_and_the_next_ones_grow_to_the_aim() -> None:
    """Small rows: 10, 20, 40 ... until a chunk holds what a request may."""
    with serving(2_000) as (_, kv):
        for number in range(400):
            reply(kv, "Put", PutRequest(key=b"k%03d" % number, value=b"v" * 8), RangeResponse)
        _, chunks = await streamed(kv, RangeRequest(key=b"k", range_end=b"l"))
        sizes = [len(chunk.kvs) for chunk in chunks]
        assert sizes[:3] == [ROWS_AT_FIRST, 20, 40]
        assert sum(sizes) == 400
        assert max(chunk.ByteSize() for chunk in chunks) < 2_000 + 100


async def test_a_chunk_of_large_values_ends_at_the_aim() -> None:
    """Ten rows of many bytes would be more than a chunk should hold: a row past the aim is the
    last of it."""
    with serving(1_000) as (_, kv):
        for number in range(8):
            start(kv, "Put", PutRequest(key=b"k%d" % number, value=b"v" * 900))
        _, chunks = await streamed(kv, RangeRequest(key=b"k", range_end=b"l"))
        assert [len(chunk.kvs) for chunk in chunks] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("rows", "sent", "expected"),
    [(10, 499, 20), (10, 500, 10), (10, 2_000, 10), (10, 2_001, 5), (1, 9_999, 1)],
)
def test_the_size_of_the_next_chunk(rows: int, sent: int, expected: int) -> None:
    """Doubled below half of the aim, halved above twice of it, one row at least."""
    assert next_rows_max(rows, sent, 1_000) == expected


@pytest.mark.parametrize("serializable", [False, True])
async def test_compaction_in_mid_stream_ends_it(serializable: bool) -> None:
    """The revision that the first chunk had is given up before the last: Compacted, no last
    chunk."""
    with serving() as (_, kv):
        for number in range(60):
            start(kv, "Put", PutRequest(key=b"k%02d" % number, value=b"v" * 9))

        def compact() -> None:
            newest = reply(kv, "Range", RangeRequest(key=b"k"), RangeResponse).header.revision
            start(kv, "Put", PutRequest(key=b"k"))
            start(kv, "Compact", CompactionRequest(revision=newest + 1))

        request = RangeRequest(key=b"k", range_end=b"l", serializable=serializable)
        status, chunks = await streamed(kv, request, compact)
        assert status == COMPACTED
        assert chunks
        assert not any(chunk.HasField("header") for chunk in chunks)


async def test_what_is_refused() -> None:
    """Orders and filters that cannot be streamed, in etcd's order and words; nothing is sent."""
    order = Status(12, "RangeStream does not support custom sort orders")
    filters = Status(12, "RangeStream does not support revision filters")
    refused = [
        (RangeRequest(sort_order=2), Status(3, "etcdserver: key is not provided")),
        (RangeRequest(key=b"k", sort_order=3), Status(3, "etcdserver: invalid sort option")),
        (RangeRequest(key=b"k", sort_order=2), order),
        (RangeRequest(key=b"k", sort_order=1, sort_target=3), order),
        (RangeRequest(key=b"k", sort_order=2, max_mod_revision=1), order),
        (RangeRequest(key=b"k", min_mod_revision=1), filters),
        (RangeRequest(key=b"k", max_create_revision=-1), filters),
        (
            RangeRequest(key=b"k", range_end=b"l", revision=9),
            Status(11, "etcdserver: mvcc: required revision is a future revision"),
        ),
    ]
    with serving() as (_, kv):
        for request, expected in refused:
            assert await streamed(kv, request) == (expected, []), request


async def test_without_an_order_the_target_does_not_matter() -> None:
    """Chunks cannot be sorted by anything but the key."""
    with serving() as (_, kv):
        for key in (b"b", b"a"):
            start(kv, "Put", PutRequest(key=key, value=b"v"))
        request = RangeRequest(key=b"a", range_end=b"z", sort_target=RangeRequest.MOD)
        _, chunks = await streamed(kv, request)
        assert [row.key for row in merged(chunks).kvs] == [b"a", b"b"]


async def test_which_way_it_is_read() -> None:
    """Linearizable: one round, before the first chunk. Serializable: none."""
    with serving() as (member, kv):
        await streamed(kv, RangeRequest(key=b"k", range_end=b"l"))
        assert member.asked[0] == "linearize"
        assert set(member.asked[1:]) == {"read_local"}
        member.asked.clear()
        await streamed(kv, RangeRequest(key=b"k", range_end=b"l", serializable=True))
        assert set(member.asked) == {"read_local"}
        member.error = LeaderChanged("x")
        status, chunks = await streamed(kv, RangeRequest(key=b"k", range_end=b"l"))
        assert (status.message, chunks) == ("etcdserver: leader changed", [])


async def test_a_slow_reader_holds_two_chunks_at_most() -> None:
    """What the stream has queued is never more than one chunk when the next is built."""
    with serving(500) as (_, kv):
        for number in range(200):
            start(kv, "Put", PutRequest(key=b"k%03d" % number, value=b"v" * 20))
        stream = FakeStream([RangeRequest(key=b"k", range_end=b"l")])
        assert await serve(kv, "RangeStream", stream) == Status(0)
        sizes = [len(each) for each in stream.sent]
        assert len(sizes) > 10
        assert stream.backlog_max <= max(first + second for first, second in pairwise(sizes))
