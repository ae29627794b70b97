"""The leader's clock by itself: a book, a log that the test holds in hand, and a clock it turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raftkv.backend.environment import LmdbBackend
from raftkv.errors import NotLeader, RaftKVError, RequestTimeout
from raftkv.lease.book import LeaseBook
from raftkv.lease.decision import Checkpoint
from raftkv.lease.lessor import EXPIRED_PER_TICK_MAX, Lessor, Logged

EXTENSION_S = 1.0
INTERVAL_S = 100.0


class Bench:
    """A Lessor in office for term 5. Decisions wait in ``proposed`` for ``apply`` or ``lose``."""

    def __init__(self, path: Path) -> None:
        self.backend = LmdbBackend(str(path))
        self.book = LeaseBook(self.backend)
        self.now = 0.0
        self.proposed: list[tuple[Sequence[int], Sequence[Checkpoint], Logged]] = []
        self.lessor = Lessor(
            self.book,
            self,
            lambda: self.now,
            extension_s=EXTENSION_S,
            checkpoint_interval_s=INTERVAL_S,
        )
        self.lessor.take_office(5)

    def expire(self, term: int, ids: Sequence[int], logged: Logged) -> None:
        self.proposed.append((ids, (), logged))

    def checkpoint(self, term: int, checkpoints: Sequence[Checkpoint], logged: Logged) -> None:
        self.proposed.append(((), checkpoints, logged))

    def tick(self, now: float) -> None:
        self.now = now
        self.lessor.tick()

    def apply(self) -> list[int]:
        """All that was proposed, in order; the ids that ended."""
        ended: list[int] = []
        proposed, self.proposed = self.proposed, []
        for ids, checkpoints, logged in proposed:
            for lease_id in ids:
                if self.book.exists(lease_id):
                    self.book.end(lease_id)
                    ended.append(lease_id)
            for lease_id, remaining_s in checkpoints:
                self.book.checkpoint(lease_id, remaining_s)
            logged(None)
        return ended

    def lose(self) -> None:
        """What was proposed is not known to have been logged."""
        proposed, self.proposed = self.proposed, []
        for _, _, logged in proposed:
            logged(RequestTimeout("lost"))

    def renew(self, lease_id: int) -> list[int | RaftKVError]:
        """Fills with the answer, at once or later."""
        answers: list[int | RaftKVError] = []
        self.lessor.renew(lease_id, answers.append)
        return answers

    def change_leader(self) -> None:
        self.lessor.leave_office()
        self.lessor.take_office(self.lessor.term + 6)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "db")
    yield bench
    bench.backend.close()


def test_not_early_and_not_twice(bench: Bench) -> None:
    """Proposed at the first tick after the deadline, once while the proposal is on its way."""
    bench.book.grant(1, 10)
    bench.tick(9.99)
    assert not bench.proposed
    bench.tick(10.0)
    bench.tick(10.5)
    assert [ids for ids, _, _ in bench.proposed] == [[1]]
    assert bench.apply() == [1]


def test_a_lost_decision_is_made_again(bench: Bench) -> None:
    """An expiry that nobody knows of is proposed at the next tick."""
    bench.book.grant(1, 10)
    bench.tick(10.0)
    bench.lose()
    bench.tick(10.5)
    assert bench.apply() == [1]


def test_a_renewal_moves_the_deadline(bench: Bench) -> None:
    """The whole TTL from the renewal on, and the old deadline means nothing."""
    bench.book.grant(1, 10)
    bench.now = 7.0
    assert bench.renew(1) == [10]
    bench.tick(16.9)
    assert not bench.proposed
    bench.tick(17.0)
    assert bench.apply() == [1]
    assert bench.renew(1) == [0]


def test_a_keep_alive_of_an_expired_lease_waits_for_its_end(bench: Bench) -> None:
    """It comes too late, and says so only when the lease is gone."""
    bench.book.grant(1, 10)
    bench.now = 10.0
    answer = bench.renew(1)
    assert answer == []
    bench.tick(10.5)
    bench.apply()
    assert answer == [0]


def test_whoever_waits_is_sent_to_the_next_leader(bench: Bench) -> None:
    """A leader that steps down answers nothing and decides nothing any more."""
    bench.book.grant(1, 10)
    bench.now = 10.0
    answer = bench.renew(1)
    bench.lessor.leave_office()
    assert [type(each) for each in answer] == [NotLeader]
    bench.tick(1000.0)
    assert not bench.proposed


def test_a_new_leader_gives_all_the_time_again(bench: Bench) -> None:
    """The TTL and one election timeout, from the day it took office."""
    bench.book.grant(1, 10)
    bench.now = 9.0
    bench.change_leader()
    bench.tick(9.0 + 10 + EXTENSION_S - 0.01)
    assert not bench.proposed
    bench.tick(9.0 + 10 + EXTENSION_S)
    assert bench.apply() == [1]


def test_leader_changes_do_not_renew_a_long_lease_for_ever(bench: Bench) -> None:
    """A leader every 150 s, a checkpoint every 100 s: a lease of 1000 s ends all the same."""
    bench.book.grant(1, 1000)
    ended_at = 0.0
    for second in range(3000):
        if second % 150 == 149:
            bench.now = float(second)
            bench.change_leader()
        bench.tick(float(second))
        if bench.apply():
            ended_at = bench.now
            break
    assert 1000 <= ended_at <= 1600, ended_at


def test_a_renewal_takes_the_checkpoint_back_first(bench: Bench) -> None:
    """It is answered only when the log says so: the next leader then gives the whole time."""
    bench.book.grant(1, 1000)
    bench.tick(300.0)
    bench.apply()
    lease = bench.book.get(1)
    assert lease is not None
    assert lease.remaining_s == 700
    answer = bench.renew(1)
    assert answer == []
    bench.apply()
    assert (answer, lease.remaining_s) == ([1000], 0)


def test_a_checkpoint_that_may_yet_come_is_taken_back_too(bench: Bench) -> None:
    """Its proposal timed out, which proves nothing: the renewal still goes through the log."""
    bench.book.grant(1, 1000)
    bench.tick(300.0)
    bench.lose()
    answer = bench.renew(1)
    assert answer == []
    assert [checkpoints for _, checkpoints, _ in bench.proposed] == [[(1, 0)]]
    bench.apply()
    assert answer == [1000]
    assert bench.renew(1) == [1000]


def test_a_hundred_thousand_leases(bench: Bench) -> None:
    """Counted, not timed: ticks look at nothing that is not due, and at each lease about once;
    renewals make no work; none ends early, and each tick ends at most its share."""
    count = 100_000
    for lease_id in range(1, count + 1):
        bench.book.grant(lease_id, 90 if lease_id % 2 else 60)
    for second in range(1, 60):
        bench.tick(float(second))
    assert bench.lessor.looked_at == 0
    for lease_id in range(1, count + 1):
        assert bench.renew(lease_id) == [90 if lease_id % 2 else 60]
    ended: dict[int, float] = {}
    tick = 0
    while len(ended) < count:
        tick += 1
        bench.tick(59.0 + tick / 2)
        now_ended = bench.apply()
        assert len(now_ended) <= EXPIRED_PER_TICK_MAX
        ended.update(dict.fromkeys(now_ended, bench.now))
    assert min(at for lease_id, at in ended.items() if lease_id % 2) >= 59 + 90
    assert min(at for lease_id, at in ended.items() if not lease_id % 2) >= 59 + 60
    assert bench.lessor.looked_at <= 3 * count, bench.lessor.looked_at


def test_leases_that_come_and_go_leave_nothing_behind(bench: Bench) -> None:
    """Ten thousand grants and revokes of hour-long leases: the heap stays small."""
    for lease_id in range(1, 10_001):
        bench.book.grant(lease_id, 3600)
        bench.book.end(lease_id)
    assert len(bench.lessor._expiries) <= 1_000
    assert len(bench.lessor._checkpoints) <= 1_000


_steps = st.lists(
    st.tuples(
        st.sampled_from(("grant", "renew", "tick", "revoke", "lose", "leader")),
        st.integers(1, 4),
        st.integers(1, 400),
    ),
    max_size=60,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(steps=_steps)
def test_never_early_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    """Against a table of promises (acknowledged at, TTL): with checkpoints, lost decisions and new
    leaders, no lease is proposed to end before its last promise; without them, none is missed."""
    bench = Bench(tmp_path_factory.mktemp("db") / "db")
    promised: dict[int, float] = {}
    for what, lease_id, number in steps:
        if what == "grant" and not bench.book.exists(lease_id):
            bench.book.grant(lease_id, number)
            promised[lease_id] = bench.now + number
        elif what == "renew":
            at, answer = bench.now, bench.renew(lease_id)
            bench.apply()
            if answer and isinstance(answer[0], int) and answer[0]:
                promised[lease_id] = at + answer[0]
        elif what == "revoke" and bench.book.exists(lease_id):
            bench.book.end(lease_id)
        elif what == "leader":
            bench.proposed.clear()
            bench.change_leader()
        elif what == "lose":
            bench.lessor.tick()
            bench.lose()
        bench.tick(bench.now + number / 4)
        for ended in bench.apply():
            assert bench.now >= promised[ended], (ended, bench.now, promised)
    bench.tick(bench.now + 1000)
    bench.apply()
    assert not bench.book.leases
    bench.backend.close()
