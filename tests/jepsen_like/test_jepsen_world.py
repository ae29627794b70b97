"""The simulated process and disk: time that stands still, threads, and what a power cut takes."""

from __future__ import annotations

import errno
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftkv.errors import ConfigError
from raftkv.simulation.clock import ProcessClock
from raftkv.simulation.disk import SECTOR, Crash, SimulatedDisk
from raftkv.simulation.scheduler import VirtualScheduler
from raftkv.simulation.worker import VirtualWorker

LUCK = range(40)
"""Seeds of a power cut: enough that what it may take is taken, and left, by some of them."""


class Process:
    """A clock, and what ran on it when, by the world's time."""

    def __init__(self, rate: float = 1.0) -> None:
        self.world = VirtualScheduler()
        self.entered = 0
        self.clock = ProcessClock(self.world, self._note, rate=rate)
        self.ran: list[tuple[str, float]] = []

    def _note(self, callback: Callable[[], None]) -> None:
        self.entered += 1

    def does(self, name: str) -> Callable[[], None]:
        return lambda: self.ran.append((name, round(self.world.now(), 6)))


# --- the clock ----------------------------------------------------------------------------------


def test_a_timer_runs_once_and_is_told() -> None:
    """At its time, in the order of the times, and whoever watches the process hears of each."""
    process = Process()
    process.clock.call_later(2.0, process.does("late"))
    process.clock.call_later(1.0, process.does("early"))
    process.clock.call_soon(process.does("now"))
    process.world.run_for(5.0)
    assert process.ran == [("now", 0.0), ("early", 1.0), ("late", 2.0)]
    assert process.entered == 3


def test_a_cancelled_timer_does_not_run() -> None:
    """Cancelled before it is due, or while it is held back by a pause."""
    process = Process()
    process.clock.call_later(1.0, process.does("never")).cancel()
    held = process.clock.call_later(1.0, process.does("held"))
    process.clock.pause()
    process.world.run_for(2.0)
    held.cancel()
    process.clock.resume()
    process.world.run_for(2.0)
    assert process.ran == []


def test_a_pause_holds_back_and_keeps_the_order() -> None:
    """What came while it stood still runs when it goes on, first what came first."""
    process = Process()
    process.clock.call_later(1.0, process.does("timer"))
    process.world.call_later(0.5, lambda: process.clock.enter(process.does("message")))
    process.clock.pause()
    process.world.run_for(3.0)
    assert process.ran == []
    assert process.entered == 0
    process.clock.resume()
    process.clock.call_soon(process.does("after"))
    process.world.run_for(1.0)
    assert process.ran == [("message", 3.0), ("timer", 3.0), ("after", 3.0)]


def test_a_second_pause_holds_what_the_first_had() -> None:
    """Resumed and paused again at once, nothing has run, and nothing is lost."""
    process = Process()
    process.clock.pause()
    process.clock.enter(process.does("message"))
    process.clock.resume()
    process.clock.pause()
    process.world.run_for(1.0)
    assert process.ran == []
    process.clock.resume()
    process.world.run_for(1.0)
    assert process.ran == [("message", 1.0)]


def test_nothing_runs_in_a_dead_process() -> None:
    """Neither its timers, nor messages, nor what a pause had held back."""
    process = Process()
    process.clock.call_later(1.0, process.does("timer"))
    process.clock.pause()
    process.clock.enter(process.does("held"))
    process.clock.end()
    process.clock.resume()
    process.clock.enter(process.does("message"))
    process.world.run_for(5.0)
    assert process.ran == []


def test_drift_moves_time_and_new_timers() -> None:
    """Twice as fast from now on: the past stays, and a second takes half a second."""
    process = Process()
    process.world.run_for(10.0)
    process.clock.drift(2.0)
    assert process.clock.now() == 10.0
    process.clock.call_later(1.0, process.does("timer"))
    process.world.run_for(4.0)
    assert process.clock.now() == 18.0
    assert process.ran == [("timer", 10.5)]
    process.clock.drift(1.0)
    process.world.run_for(1.0)
    assert process.clock.now() == 19.0


def test_a_jump_goes_ahead_only() -> None:
    """Time has passed that no timer saw; a monotonic clock refuses to go back."""
    process = Process(rate=0.5)
    process.clock.jump(600.0)
    process.world.run_for(2.0)
    assert process.clock.now() == 601.0
    with pytest.raises(AssertionError, match="cannot go back"):
        process.clock.jump(-1.0)


# --- the worker ---------------------------------------------------------------------------------


def test_jobs_of_a_worker_run_one_after_another() -> None:
    """Each takes its own time after the one before; its effect and its report come together."""
    process = Process()
    latencies = iter((1.0, 0.1, 0.5))
    worker = VirtualWorker(process.clock, lambda: next(latencies))
    done: list[tuple[str, float]] = []
    for name in ("a", "b", "c"):
        worker.run(
            process.does(name), lambda error, name=name: done.append((name, process.world.now()))
        )
    process.world.run_for(0.5)
    assert process.ran == []
    process.world.run_for(5.0)
    assert [name for name, _ in process.ran] == ["a", "b", "c"]
    assert done == [("a", 1.0), ("b", pytest.approx(1.1)), ("c", pytest.approx(1.6))]


def test_a_worker_hands_over_what_a_job_raised() -> None:
    """And goes on with the next."""
    process = Process()
    worker = VirtualWorker(process.clock, lambda: 0.1)
    errors: list[BaseException | None] = []

    def fails() -> None:
        raise OSError(errno.EIO, "broken")

    worker.run(fails, errors.append)
    worker.run(process.does("next"), errors.append)
    process.world.run_for(1.0)
    assert isinstance(errors[0], OSError)
    assert errors[1:] == [None]
    assert len(process.ran) == 1


def test_a_crash_comes_into_the_midst_of_the_first_job() -> None:
    """It is the unfinished one; in a dead process it neither ends nor reports."""
    process = Process()
    worker = VirtualWorker(process.clock, lambda: 1.0)
    first, reports = process.does("first"), list[BaseException | None]()
    assert worker.unfinished is None
    worker.run(first, reports.append)
    worker.run(process.does("second"), reports.append)
    assert worker.unfinished is first
    process.clock.end()
    process.world.run_for(5.0)
    assert process.ran == []
    assert reports == []


# --- the disk -----------------------------------------------------------------------------------


def _named(content: bytes) -> SimulatedDisk:
    """A disk with a file whose name and content are durable."""
    disk = SimulatedDisk()
    file = disk.create("d/file")
    file.write(content)
    file.sync()
    disk.sync_dir("d")
    return disk


def test_unsynced_sectors_go_one_by_one() -> None:
    """Each is there whole or as it was, every mixture happens, and what was synced stays."""
    old, new = b"o" * 3 * SECTOR, b"n" * 2 * SECTOR
    seen: set[bytes] = set()
    for luck in LUCK:
        disk = _named(old)
        disk.open("d/file", SECTOR).write(new)
        disk.power_cut(Random(luck))
        content = disk.read("d/file")
        sectors = [content[at : at + SECTOR] for at in range(0, len(content), SECTOR)]
        assert all(len(set(sector)) == 1 for sector in sectors)
        seen.add(b"".join(sector[:1] for sector in sectors))
    assert seen == {b"ooo", b"ono", b"oon", b"onn"}


@given(writes=st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=1500))))
def test_synced_content_never_goes(writes: list[tuple[int, bytes]]) -> None:
    """Whatever was written where, after a sync the power cut takes nothing, however often."""
    disk = _named(b"")
    for position, data in writes:
        disk.open("d/file", position).write(data)
    disk.open("d/file", 0).sync()
    content = disk.read("d/file")
    for luck in range(3):
        disk.power_cut(Random(luck))
        assert disk.read("d/file") == content


def test_a_killed_process_loses_nothing_that_it_wrote() -> None:
    """The kernel has it: only its locks are gone."""
    disk = _named(b"old")
    disk.open("d/file", 3).write(b"new")
    disk.lock("d/lock")
    with pytest.raises(ConfigError, match="in use by another process"):
        disk.lock("d/lock")
    disk.process_died()
    assert disk.read("d/file") == b"oldnew"
    disk.lock("d/lock").close()
    disk.lock("d/lock")


def test_a_name_needs_its_directory_synced() -> None:
    """A synced file may be nameless after the cut; with sync_dir it is always there."""
    there = set()
    for luck in LUCK:
        disk = SimulatedDisk()
        file = disk.create("d/file")
        file.write(b"x")
        file.sync()
        disk.power_cut(Random(luck))
        there.add(disk.exists("d/file"))
        assert _after(_named(b"x"), luck).read("d/file") == b"x"
    assert there == {True, False}


def _after(disk: SimulatedDisk, luck: int) -> SimulatedDisk:
    disk.power_cut(Random(luck))
    return disk


@pytest.mark.parametrize("change", ["rename", "remove"])
def test_a_changed_name_may_come_back(change: str) -> None:
    """Until its directory is synced; after that it is gone for good."""
    back = set()
    for luck in LUCK:
        for synced in (False, True):
            disk = _named(b"x")
            if change == "rename":
                disk.rename("d/file", "d/other")
            else:
                disk.remove("d/file")
            if synced:
                disk.sync_dir("d")
            disk.power_cut(Random(luck))
            assert not (synced and disk.exists("d/file"))
            assert not (synced and change == "rename" and not disk.exists("d/other"))
            back.add(disk.exists("d/file"))
    assert back == {True, False}


def test_a_failed_sync_may_drop_pages_for_good() -> None:
    """The call fails; of the pages in the cache some are as they were, and all are called clean:
    a next sync that succeeds saves none of them."""
    seen: set[bytes] = set()
    for luck in LUCK:
        disk = SimulatedDisk(Random(luck))
        file = disk.create("d/file", allocate=2 * SECTOR)
        disk.sync_dir("d")
        file.write(b"n" * 2 * SECTOR)
        disk.fail_sync = errno.EIO
        with pytest.raises(OSError, match="injected"):
            file.sync()
        content = disk.read("d/file")
        seen.add(content[:1] + content[SECTOR : SECTOR + 1])
        disk.fail_sync = 0
        file.sync()
        disk.power_cut(Random(luck))
        assert disk.read("d/file") == bytes(2 * SECTOR)
    assert seen == {b"nn", b"n\0", b"\0n", b"\0\0"}


def test_a_full_disk_refuses_writes_and_changes_nothing() -> None:
    """ENOSPC for writes, new files and commits; reading goes on."""
    disk = _named(b"old")
    file = disk.open("d/file", 3)
    disk.fail_write = errno.ENOSPC
    assert disk.fails
    for call in (
        lambda: file.write(b"x"),
        lambda: disk.create("d/new"),
        lambda: disk.rename("d/file", "d/new"),
        disk.commit_database,
    ):
        with pytest.raises(OSError, match="No space left"):
            call()
    assert disk.read("d/file") == b"old"
    assert disk.list_dir("d") == ["file"]


def test_a_process_dies_at_the_chosen_call() -> None:
    """The calls before it took effect, it and those after it did not, until the next life."""
    disk = _named(b"")
    file = disk.open("d/file", 0)
    disk.dies_in = 1
    file.write(b"a")
    with pytest.raises(Crash):
        file.write(b"b")
    with pytest.raises(Crash):
        file.sync()
    disk.process_died()
    assert disk.read("d/file") == b"a"
    disk.open("d/file", 1).write(b"c")
    assert disk.read("d/file") == b"ac"


def test_rot_is_on_the_platter() -> None:
    """One bit differs, before and after a power cut."""
    disk = _named(b"\0" * 8)
    disk.flip("d/file", 13)
    disk.power_cut(Random(0))
    assert disk.read("d/file") == b"\0\x20" + b"\0" * 6
