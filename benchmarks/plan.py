"""Which works a run has, how often each is done, and how long that will take.

Owns: the list of all works, in the order in which they are run: what fills the store comes after
what would be slowed by a full one, and what kills members comes last. Must never do: run them.

A new work needs a class (``measurement.Work``) and a line in ``whole_plan``: ``--work``, tables,
JSON and chart follow from it. ``further`` works are not rows of the target table: they have two
rounds of five, so that each program goes first once. What takes long to prepare is ``rare``: one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.catch_up_work import CatchUpWork
from benchmarks.joining import JoinWork
from benchmarks.lease_work import KeepAliveWork
from benchmarks.list_work import (
    LONG_LIST,
    TARGET,
    GrpcioListWork,
    H2loadListWork,
    OldListWork,
    PagedListWork,
)
from benchmarks.measurement import Work
from benchmarks.mix_work import MixWork
from benchmarks.recovery_work import FailoverWork, RecoveryWork
from benchmarks.txn_work import TxnWork
from benchmarks.unary_work import GetWork, PutWork, VariedPutWork
from benchmarks.watch_work import WatchWork

PUT_TARGETS = {1: 1.0, 100: 1.5, 1000: 2.0}
GET_TARGETS = {1: 1.0, 100: 1.3, 1000: 1.3}
FURTHER_SHARE = 0.4
RARE_SHARE = 0.2
START_SECONDS = 4.0
"""Of three members, until all serve."""
CALIBRATION_SECONDS = 0.4
REPEATED_SHARE = 0.2
"""Of loads that were over too soon and are done again."""
FILL_SECONDS = 0.7
PROGRAMS = 2
SECONDS = 2.0
"""Of one load: what the default plan has time for."""
KEYS = 100_000


@dataclass(frozen=True, slots=True)
class Planned:
    """A work, its rounds, and about how long one measurement takes with what it needs before."""

    work: Work
    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be run."""

    works: Sequence[Planned]

    @property
    def rounds(self) -> int:
        return max((planned.rounds for planned in self.works), default=0)

    @property
    def groups(self) -> list[str]:
        return list(dict.fromkeys(planned.work.group for planned in self.works))

    @property
    def seconds(self) -> float:
        """Of the whole run, about, on an idle machine."""
        each = sum(planned.rounds * planned.seconds for planned in self.works)
        return PROGRAMS * (each + self.rounds * START_SECONDS)

    def of_round(self, number: int) -> list[Planned]:
        """Those that have a round of this number, from 0."""
        return [planned for planned in self.works if planned.rounds > number]

    def only(self, groups: Iterable[str]) -> Plan:
        chosen = set(groups)
        return Plan([planned for planned in self.works if planned.work.group in chosen])


def whole_plan(*, rounds: int = 5, seconds: float = SECONDS, keys: int = KEYS) -> Plan:
    """Every work. ``seconds`` is the length of each load; ``keys`` those of the group recovery."""
    further = further_rounds(rounds)
    rare = math.ceil(rounds * RARE_SHARE)
    short = seconds / 2
    large = [PutWork(clients, seconds, value_bytes=102_400) for clients in (1, 100)]
    return Plan(
        [
            *_unary(rounds, seconds),
            *_lists(rounds, short),
            *_watches(rounds, short),
            *_each([KeepAliveWork(seconds)], further, seconds + 2 * FILL_SECONDS),
            *_each(large, further, _load_seconds(seconds)),
            *_each([H2loadListWork(rows=LONG_LIST, seconds=seconds)], rare, seconds + 10),
            *_each([CatchUpWork(1)], rare, 18.0),
            *_each([CatchUpWork(10)], rare, 13.0),
            *_each([FailoverWork(repeats=2)], rounds, 8.0),
            *_each([RecoveryWork(keys)], rare, 6.0 + keys / 10_000),
            *_each([JoinWork(keys)], rare, 16.0),
        ]
    )


def further_rounds(rounds: int) -> int:
    """Of works without a row in the target table."""
    return math.ceil(rounds * FURTHER_SHARE)


def _each(works: Sequence[Work], rounds: int, seconds: float) -> list[Planned]:
    return [Planned(work, rounds, seconds) for work in works]


def _load_seconds(seconds: float) -> float:
    """Of a load by h2load, with what it needs to find the number of requests."""
    return seconds * (1 + REPEATED_SHARE) + CALIBRATION_SECONDS


def _unary(rounds: int, seconds: float) -> list[Planned]:
    """Puts, transactions and gets: those with a target get all rounds."""
    further, each = further_rounds(rounds), _load_seconds(seconds)
    puts = [PutWork(clients, seconds, PUT_TARGETS.get(clients)) for clients in (1, 10, 100, 1000)]
    gets = [
        GetWork(clients, seconds, serializable, target)
        for serializable in (False, True)
        for clients, target in GET_TARGETS.items()
    ]
    others: list[Work] = [
        *[PutWork(clients, seconds, value_bytes=1024) for clients in (1, 100)],
        *[VariedPutWork(clients, seconds) for clients in (100, 1000)],
        *[TxnWork(clients, seconds) for clients in (1, 100, 1000)],
        MixWork(seconds),
        *[
            GetWork(clients, seconds, serializable, on_follower=True)
            for serializable in (False, True)
            for clients in (1, 100)
        ],
    ]
    return [
        *[Planned(put, rounds if put.target else further, each) for put in puts],
        *_each(gets, rounds, each),
        *_each(others, further, each),
    ]


def _lists(rounds: int, seconds: float) -> list[Planned]:
    whole = H2loadListWork(seconds=seconds, target=TARGET)
    others: list[Work] = [
        H2loadListWork("keys only", seconds=seconds, keys_only=True),
        H2loadListWork("count only", seconds=seconds, count_only=True),
        PagedListWork(seconds=seconds),
        OldListWork(seconds=seconds),
    ]
    return [
        *_each([whole, GrpcioListWork(seconds=seconds)], rounds, seconds + FILL_SECONDS),
        *_each(others, further_rounds(rounds), seconds + FILL_SECONDS),
    ]


def _watches(rounds: int, seconds: float) -> list[Planned]:
    others = [
        WatchWork(seconds, on_follower=True),
        WatchWork(seconds, streams=1_000),
        WatchWork(seconds, watchers=1, streams=1),
    ]
    return [
        *_each([WatchWork(seconds, target=1.0)], rounds, seconds + CALIBRATION_SECONDS),
        *_each(others, further_rounds(rounds), seconds + CALIBRATION_SECONDS),
    ]
