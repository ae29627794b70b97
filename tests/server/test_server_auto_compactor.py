"""Compaction without anybody asking, under virtual time: when, to what, and by whom."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raftkv.api.rpc_pb2 import CompactionRequest
from raftkv.errors import Compacted, NoLeader, RaftKVError
from raftkv.server.auto_compactor import AutoCompactor
from raftkv.simulation.scheduler import VirtualScheduler

HOUR = 3600.0


class Bench:
    """A compactor on a virtual clock, whose store is at one revision per virtual second."""

    def __init__(self, period_s: float = 0.0, revisions: int = 0) -> None:
        self.clock = VirtualScheduler()
        self.begin = self.clock.now()
        self.leads = True
        self.stopped = False
        self.outcome: bytes | RaftKVError = b""
        self.asked: list[tuple[float, int]] = []
        self.compactor = AutoCompactor(
            period_s=period_s,
            revisions=revisions,
            scheduler=self.clock,
            revision=lambda: self.second + 1,
            is_leader=lambda: self.leads,
            is_stopped=lambda: self.stopped,
            propose=self._propose,
        )
        self.compactor.start()

    @property
    def second(self) -> int:
        return round(self.clock.now() - self.begin)

    def _propose(
        self, kind: int, payload: bytes, done: Callable[[bytes | RaftKVError], None]
    ) -> None:
        self.asked.append((self.second, CompactionRequest.FromString(payload).revision))
        done(self.outcome)

    def run(self, hours: float) -> list[tuple[float, int]]:
        """What is asked for from here on, as (second, revision)."""
        self.asked.clear()
        self.clock.run_for(hours * HOUR + 1)
        return self.asked


def test_a_long_period_is_kept_and_looked_at_hourly() -> None:
    """Five hours: nothing before, then every hour to the revision of five hours ago."""
    bench = Bench(period_s=5 * HOUR)
    assert bench.run(4.95) == []
    asked = bench.run(3)
    for second, revision in asked:
        assert second - revision == pytest.approx(5 * HOUR, abs=400)
    assert [second for second, _ in asked] == [
        pytest.approx((5 + number) * HOUR, abs=10) for number in range(3)
    ]


def test_a_short_period_is_looked_at_as_often() -> None:
    """Ten minutes: every ten minutes, to the revision of ten minutes ago."""
    bench = Bench(period_s=600)
    asked = bench.run(0.5)
    assert [second for second, _ in asked] == [pytest.approx(600 * n, abs=5) for n in (1, 2, 3)]
    for second, revision in asked:
        assert second - revision == pytest.approx(600, abs=61)


def test_revisions_are_kept_by_number() -> None:
    """Every five minutes, to that many revisions ago; nothing while there are fewer."""
    bench = Bench(revisions=1000)
    asked = bench.run(0.5)
    assert asked == [(1200, 201), (1500, 501), (1800, 801)]


def test_off_is_off() -> None:
    """Retention 0 never asks."""
    assert Bench().run(100) == []


def test_the_leader_alone_asks_and_a_new_one_goes_on() -> None:
    """A follower asks for nothing, but has noted what it needs when it comes to lead."""
    bench = Bench(period_s=600)
    bench.leads = False
    assert bench.run(1) == []
    bench.leads = True
    second, revision = bench.run(0.05)[0]
    assert second - revision == pytest.approx(600, abs=61)


def test_a_failure_is_tried_again_soon() -> None:
    """After an error at the next look; Compacted means that somebody else has done it."""
    bench = Bench(period_s=600)
    bench.outcome = NoLeader("x")
    assert len(bench.run(0.25)) >= 4
    bench.outcome = Compacted(7)
    assert len(bench.run(0.25)) == 2


def test_a_stopped_member_looks_no_more() -> None:
    """The timer ends with the member."""
    bench = Bench(period_s=600)
    bench.stopped = True
    assert bench.run(10) == []
