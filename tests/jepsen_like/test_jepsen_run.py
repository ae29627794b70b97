"""A whole run on three real raftkv processes, with a small workload of its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from random import Random

import pytest

from jepsen_like.checkers import recovery
from jepsen_like.checkers.verdict import Validity, Verdict
from jepsen_like.cluster.program import program_named
from jepsen_like.history.history import History
from jepsen_like.history.journal import load
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Get, Put, Request
from jepsen_like.history.result import Found, Written
from jepsen_like.nemesis.registry import nemesis_named
from jepsen_like.run import HISTORY, Run, Settings, Sight
from jepsen_like.workloads.session import OpenWatch, Session, Step

TIME_S = 10.0


class Writer:
    """Puts values that are there once; every fifth step reads, every twentieth watches."""

    def __init__(self, process: int, random: Random) -> None:
        self._process = process
        self._random = random
        self._steps = count(1)

    def next(self, last: Operation | None) -> Step:
        step = next(self._steps)
        if step % 20 == 0:
            return OpenWatch("k", "l", start_revision=1, for_s=0.4)
        if step % 5 == 0:
            return Get("k", "l")
        return Put(f"k{self._random.randrange(5)}", f"{self._process}-{step}")


class Writers:
    name = "writers"
    needs = frozenset({"kv", "watch"})

    def session(self, process: int, random: Random) -> Session:
        return Writer(process, random)

    def final(self) -> Sequence[Request]:
        return [Get("k", "l")]

    def check(self, history: History) -> list[Verdict]:
        return [recovery.check(history)]


@pytest.mark.e2e
async def test_a_run_with_kills_and_partitions_is_whole(tmp_path: Path) -> None:
    """Operations are answered, both faults happen, and the journal holds all phases: the hashes of
    all members before and after the restart are equal, and the final read has the last values."""
    settings = Settings("writers", "kill,partition", 7, time_s=TIME_S, rate=100, clients=6)
    sights: list[Sight] = []
    run = Run(
        settings,
        Writers(),
        nemesis_named(settings.nemesis),
        program_named("raftkv"),
        tmp_path,
        sights.append,
    )
    await run.execute()
    history = load(tmp_path / HISTORY)
    assert history.settings["seed"] == 7
    assert len(history.answered) >= 50
    assert {fault.name for fault in history.faults} == {"kill", "partition"}
    assert any(watch.responses for watch in history.watches)
    assert len(history.finals) == 2 * settings.members
    assert len({(state.revision, state.hash) for state in history.finals}) == 1
    assert recovery.check(history).validity is Validity.VALID
    _assert_no_write_is_lost(history)
    assert {"running", "calm"} <= {sight.phase for sight in sights}


@pytest.mark.e2e
async def test_a_member_with_a_damaged_log_stays_down_and_the_rest_is_whole(tmp_path: Path) -> None:
    """A flipped bit makes raftkv refuse to start, in words and not with a traceback. The run goes
    on without that member, does not call its end a death, and hashes the two others."""
    settings = Settings("writers", "bitflip", 3, time_s=8.0, rate=60, clients=6, hold_s=1.0)
    run = Run(
        settings,
        Writers(),
        nemesis_named(settings.nemesis, settings.hold_s),
        program_named("raftkv"),
        tmp_path,
        lambda _: None,
    )
    await run.execute()
    history = load(tmp_path / HISTORY)
    (refusal,) = [fault for fault in history.faults if fault.name == recovery.REFUSED]
    assert "a damaged record that was durable" in refusal.what
    assert recovery.check(history).validity is Validity.VALID
    assert len({state.member for state in history.finals}) == 2
    assert len({(state.revision, state.hash) for state in history.finals}) == 1
    _assert_no_write_is_lost(history)


def _assert_no_write_is_lost(history: History) -> None:
    last = history.operations[-1].outcome
    assert isinstance(last, Found)
    final = {kv.key: kv.mod_revision for kv in last.kvs}
    acknowledged = {
        (o.request.key, o.outcome.revision)
        for o in history.operations
        if isinstance(o.request, Put) and isinstance(o.outcome, Written)
    }
    assert acknowledged
    assert all(final[key] >= revision for key, revision in acknowledged)
