"""Ranges that take more than one turn: the same answers, and one step of one of them a turn."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_member import FakeCall, FakeMember, reply, start
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raftkv.api.rpc_pb2 import (
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
)
from raftkv.mvcc import range_steps
from raftkv.rpc import long_ranges
from raftkv.rpc.kv import kv_service
from raftkv.wire.service import Service, Status

ALL = RangeRequest(key=b"\0", range_end=b"\0")
COMPACTED = Status(11, "etcdserver: mvcc: required revision has been compacted")


class Turns:
    """A scheduler whose turns are taken one by one."""

    def __init__(self) -> None:
        self._due: list[Callable[[], None]] = []

    def now(self) -> float:
        return 0.0

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._due.append(callback)

    def take(self) -> int:
        """One turn; how many were due."""
        due, self._due = self._due, []
        for callback in due:
            callback()
        return len(due)


@contextmanager
def serving(
    *, rows: int = 20_000, bytes_max: int = 1 << 24
) -> Iterator[tuple[FakeMember, Service, Turns]]:
    """A step reads ``rows`` rows at most."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(range_steps, "ROWS_PER_STEP", rows)
        patch.setattr(range_steps, "HEADS_PER_STEP", rows)
        patch.setattr(range_steps, "PAST_ROWS_PER_STEP", rows)
        patch.setattr(range_steps, "BYTES_PER_STEP", bytes_max)
        member = FakeMember(Path(directory) / "db")
        turns = Turns()
        member.scheduler = turns  # type: ignore[assignment]
        try:
            yield member, kv_service(member), turns
        finally:
            member.backend.close()


def put(kv: Service, *numbers: int, value: bytes = b"v") -> None:
    for number in numbers:
        reply(kv, "Put", PutRequest(key=b"k%04d" % number, value=value), PutResponse)


def compact(kv: Service, revision: int) -> None:
    reply(kv, "Compact", CompactionRequest(revision=revision), CompactionResponse)


def finish(call: FakeCall, turns: Turns, between: Callable[[], None] = lambda: None) -> int:
    """Until it is answered; how many turns that took."""
    taken = 0
    while not call.answers:
        between()
        assert turns.take(), "no answer, and nothing is due"
        taken += 1
    return taken


def keys_of(call: FakeCall) -> list[bytes]:
    assert isinstance(call.answer, bytes), call.answer
    return [kv.key for kv in RangeResponse.FromString(call.answer).kvs]


# Long keys are kept in another way, and sort among the short ones.
keys = st.sampled_from([b"a", b"b", b"b/1", b"b/2", b"c", b"d", b"l" * 600, b"l" * 600 + b"x"])
ends = st.sampled_from([b"\0", b"b0", b"c", b"m", b"a"])
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
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=st.lists(writes, max_size=40),
    request=requests,
    meanwhile=st.lists(st.lists(writes, max_size=3), max_size=8),
    rows=st.integers(1, 6),
    bytes_max=st.integers(1, 200),
)
def test_what_happens_between_the_steps_changes_nothing_of_the_answer(
    before: list[Message],
    request: RangeRequest,
    meanwhile: list[list[Message]],
    rows: int,
    bytes_max: int,
) -> None:
    """The answer is that of a range read at once when the first step was."""

    def write(some: list[Message]) -> None:
        for each in some:
            start(kv, "Put" if isinstance(each, PutRequest) else "DeleteRange", each)

    with serving(rows=rows, bytes_max=bytes_max) as (_, kv, turns):
        write(before)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(range_steps, "ROWS_PER_STEP", 1_000)
            patch.setattr(range_steps, "HEADS_PER_STEP", 1_000)
            patch.setattr(range_steps, "PAST_ROWS_PER_STEP", 1_000)
            patch.setattr(range_steps, "BYTES_PER_STEP", 1 << 20)
            expected = start(kv, "Range", request).answer
        batches = iter(meanwhile)
        call = start(kv, "Range", request)
        finish(call, turns, lambda: write(next(batches, [])))
        if isinstance(expected, Status):
            assert call.answer == expected
            return
        assert isinstance(call.answer, bytes), call.answer
        assert RangeResponse.FromString(call.answer) == RangeResponse.FromString(expected)


def test_a_list_of_100_mib_takes_turns_with_puts() -> None:
    """The first step is the call's own turn. No step copies more than 16 MiB and a row; a put
    between two steps is answered at once, and is not in the list."""
    value = b"v" * (1 << 20)
    with serving() as (_, kv, turns):
        put(kv, *range(100), value=value)
        call = start(kv, "Range", ALL)
        written: list[int] = []

        def between() -> None:
            written.append(1000 + len(written))
            put(kv, written[-1])

        assert finish(call, turns, between) == 100 // 16
        assert keys_of(call) == [b"k%04d" % number for number in range(100)]
        assert written


def test_a_count_of_many_keys_takes_turns() -> None:
    """Also behind a limit, as pages of Kubernetes ask for it."""
    with serving(rows=10) as (_, kv, turns):
        put(kv, *range(95))
        count = start(kv, "Range", RangeRequest(key=b"k", range_end=b"l", count_only=True))
        assert finish(count, turns) == 9
        page = start(kv, "Range", RangeRequest(key=b"k", range_end=b"l", limit=5))
        assert finish(page, turns) == 9
        assert isinstance(page.answer, bytes)
        answer = RangeResponse.FromString(page.answer)
        assert (len(answer.kvs), answer.more, answer.count) == (5, True, 95)


def test_many_long_ranges_share_the_turns() -> None:
    """One step of one of them a turn, each in its turn: nobody waits for all of another."""
    with serving(rows=10) as (_, kv, turns):
        put(kv, *range(25))
        calls = [start(kv, "Range", ALL) for _ in range(3)]
        ended = []
        for _ in range(6):
            assert turns.take() == 1
            ended.append([bool(call.answers) for call in calls].count(True))
        assert ended == [0, 0, 0, 1, 2, 3]
        assert turns.take() == 0


def test_compaction_between_the_steps() -> None:
    """A list of the newest state begins anew, and one that is overtaken again and again is read at
    once; a revision that was asked for is gone, as it would be a moment later."""
    with serving(rows=10) as (_, kv, turns):
        put(kv, *range(25))
        newest = start(kv, "Range", ALL)
        old = start(kv, "Range", RangeRequest(key=b"\0", range_end=b"\0", revision=20))
        put(kv, 1)
        compact(kv, 27)
        finish(newest, turns)
        finish(old, turns)
        assert len(keys_of(newest)) == 25
        assert old.answer == COMPACTED

        revision = 27

        def overtake() -> None:
            nonlocal revision
            put(kv, 1)
            revision += 1
            compact(kv, revision)

        again = start(kv, "Range", ALL)
        assert finish(again, turns, overtake) == long_ranges.TRIES_MAX
        assert len(keys_of(again)) == 25


def test_a_client_that_went_away_costs_no_more_steps() -> None:
    """Its range is forgotten at its next turn; a range of another one goes on."""
    with serving(rows=10) as (_, kv, turns):
        put(kv, *range(25))
        gone, stays = start(kv, "Range", ALL), start(kv, "Range", ALL)
        gone.cancel()
        assert finish(stays, turns) == 3
        assert gone.answers == []
        assert turns.take() == 0


def test_long_ranges_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound clients get etcd's "too many requests"."""
    monkeypatch.setattr(long_ranges, "LONG_RANGES_MAX", 2)
    with serving(rows=10) as (_, kv, turns):
        put(kv, *range(25))
        calls = [start(kv, "Range", ALL) for _ in range(3)]
        assert calls[2].answer == Status(8, "etcdserver: too many requests")
        for call in calls[:2]:
            finish(call, turns)
            assert len(keys_of(call)) == 25
