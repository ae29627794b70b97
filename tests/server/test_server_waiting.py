"""Where requests wait: nothing is answered twice, late, or beyond its bound."""

from __future__ import annotations

import pytest

from raftkv.apply.batch import decode_batch
from raftkv.errors import RaftKVError, RequestTimeout, RequestTimeoutLeaderFailure, TooManyRequests
from raftkv.raft.message import Entry, ReadState
from raftkv.server.config import Limits
from raftkv.server.identity import cluster_id, initial_members, member_id
from raftkv.server.log_compactor import LogCompactor
from raftkv.server.proposals import Outcome, Proposals
from raftkv.server.reads import RETRY_S, Reads

LIMITS = Limits(pending_requests_max=5, pending_bytes_max=100, batch_bytes_max=20)


def proposals() -> Proposals:
    return Proposals(origin=7, first_sequence=100, limits=LIMITS, timeout_s=5)


def reads() -> Reads:
    return Reads(origin=7, first_round=100, reads_max=3, timeout_s=5)


def test_a_batch_takes_what_fits_and_at_least_one() -> None:
    """Batches are cut by bytes, in order; one request may exceed the bound alone."""
    waiting = proposals()
    for payload in (b"a" * 15, b"b" * 5, b"c" * 30, b"d"):
        waiting.add(1, payload, lambda outcome: None, 0)
    taken = []
    while (batch := waiting.peek()) is not None:
        taken.append([payload for _, payload in decode_batch(batch[1]).requests])
        waiting.take(batch[2], 0)
    assert taken == [[b"a" * 15, b"b" * 5], [b"c" * 30], [b"d"]]


def test_what_a_snapshot_has_overtaken_does_not_wait() -> None:
    """Its entry was skipped: nobody can say what became of it, and later ones go on."""
    waiting = proposals()
    got: list[tuple[int, Outcome]] = []
    for number in range(3):
        waiting.add(1, b"x", lambda outcome, n=number: got.append((n, outcome)), 0)
        waiting.take(1, 0)
    waiting.overtaken({8: 500})
    assert got == []
    waiting.overtaken({7: 101, 8: 500})
    assert [number for number, _ in got] == [0, 1]
    assert all(isinstance(outcome, RequestTimeout) for _, outcome in got)
    assert waiting.is_in_flight(7, 102)
    assert waiting.pending == 1


def test_each_request_gets_its_outcome() -> None:
    """Outcomes go to the requests of the batch that was applied, by place."""
    waiting = proposals()
    got: list[tuple[int, Outcome]] = []
    for number in range(3):
        waiting.add(1, b"x", lambda outcome, n=number: got.append((n, outcome)), 0)
    batch = waiting.peek()
    assert batch is not None
    waiting.take(batch[2], 0)
    assert waiting.is_in_flight(7, 100)
    assert not waiting.is_in_flight(8, 100)
    waiting.resolve(100, [b"0", b"1", b"2"])
    assert got == [(0, b"0"), (1, b"1"), (2, b"2")]
    assert waiting.pending == 0


def test_bounds_of_what_waits() -> None:
    """By count and by bytes, with the limit in the text."""
    waiting = proposals()
    waiting.add(1, b"x" * 90, lambda outcome: None, 0)
    with pytest.raises(TooManyRequests, match="limit is 100"):
        waiting.add(1, b"x" * 20, lambda outcome: None, 0)
    for _ in range(4):
        waiting.add(1, b"", lambda outcome: None, 0)
    with pytest.raises(TooManyRequests, match="5 requests wait"):
        waiting.add(1, b"", lambda outcome: None, 0)


def test_deadlines_tell_whether_a_leader_was_lost() -> None:
    """Queued or in flight, a request is answered by its deadline, once."""
    waiting = proposals()
    got: list[Outcome] = []
    waiting.add(1, b"x" * 20, got.append, 0)
    waiting.add(1, b"y", got.append, 1)
    waiting.take(1, 2)
    waiting.expire(5.5, leader_lost_at=-1)
    assert not got
    waiting.expire(6, leader_lost_at=-1)
    assert [type(error) for error in got] == [RequestTimeout]
    waiting.expire(7, leader_lost_at=3)
    assert [type(error) for error in got] == [RequestTimeout, RequestTimeoutLeaderFailure]
    assert waiting.pending == 0


def test_a_read_waits_for_a_round_that_was_asked_after_it() -> None:
    """Reads of one turn share a round; one that comes later waits for the next."""
    waiting = reads()
    got: list[str] = []
    waiting.add(lambda error: got.append("first"), 0)
    context = waiting.begin_round(0)
    waiting.add(lambda error: got.append("second"), 0)
    assert not waiting.wants_round
    waiting.confirm(ReadState(10, context))
    waiting.release(9)
    assert not got
    waiting.release(10)
    assert got == ["first"]
    assert waiting.wants_round


def test_a_lost_round_is_asked_anew_under_another_name() -> None:
    """An answer to a round that was given up confirms nothing."""
    waiting = reads()
    got: list[RaftKVError | None] = []
    waiting.add(got.append, 0)
    old = waiting.begin_round(0)
    waiting.retry(RETRY_S)
    new = waiting.begin_round(RETRY_S)
    assert old != new
    waiting.confirm(ReadState(1, old))
    waiting.release(99)
    assert not got
    waiting.confirm(ReadState(1, new))
    waiting.release(99)
    assert got == [None]


def test_reads_end_by_their_deadline_wherever_they_are() -> None:
    """Waiting, asked, or confirmed and not applied: each is answered, and bounded."""
    waiting = reads()
    got: list[RaftKVError | None] = []
    waiting.add(got.append, 0)
    waiting.confirm(ReadState(50, waiting.begin_round(0)))
    waiting.add(got.append, 0)
    waiting.begin_round(0)
    waiting.add(got.append, 0)
    with pytest.raises(TooManyRequests, match="3 reads wait"):
        waiting.add(got.append, 0)
    waiting.expire(5)
    assert [type(error) for error in got] == [RequestTimeout] * 3


def test_the_log_keeps_entries_and_bytes_for_slow_followers() -> None:
    """What is cut leaves as many entries and bytes as the limits say, whichever is less."""
    limits = Limits(catchup_entries=5, catchup_bytes_max=1000, snapshot_bytes_max=500)
    compactor = LogCompactor(snapshot_count=10, limits=limits, marker_index=0)
    compactor.note([Entry(1, i, b"x" * 10) for i in range(1, 21)])
    assert compactor.is_due(10)
    assert compactor.cut_index(20) == 15
    assert compactor.cut_index(10) == 5
    compactor.note([Entry(1, 21, b"x" * 600), Entry(1, 22, b"x" * 600)])
    assert compactor.is_due(1)
    assert compactor.cut_index(22) == 21


def test_ids_are_etcds() -> None:
    """The ids that etcd derives for the three members of its own Procfile."""
    urls = {
        f"infra{i}": (f"http://127.0.0.1:{port}",)
        for i, port in ((1, 12380), (2, 22380), (3, 32380))
    }
    token = "etcd-cluster-1"
    ids = [f"{member_id(u, token):x}" for u in urls.values()]
    assert ids == ["8211f1d0f64f3269", "91bc3c398fb3c146", "fd422379fda50e48"]
    members = initial_members(urls, token)
    assert f"{cluster_id([m.id for m in members]):x}" == "ef37ad9dc622a7c4"
