"""The recorded process: performs a script on real members, and says what was acknowledged.

Owns: the cluster that is recorded (production code on real files, virtual time, one process) and
the marks in the stream. Must never do: help a member along, or go on after one has failed.
Run as ``python -m jepsen_like.images.performer`` by ``recording``; without the recorder's library
it refuses to start.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
from collections.abc import Callable
from pathlib import Path

import lmdb

from jepsen_like.history.request import Request
from jepsen_like.images.mutant import MUTANTS
from jepsen_like.images.proposal import encode, revision_of
from jepsen_like.images.script import Event, Submit, draw_script
from raftkv.errors import RaftKVError
from raftkv.server.config import KiB, Limits
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine, MemberProcess

LIMITS = Limits(
    catchup_entries=8,
    wal_segment_bytes=16 * KiB,
    backend_commit_interval_s=0.5,
    compaction_records_per_step=3,
)
SNAPSHOT_COUNT = 15
ANSWER_WITHIN_S = 30.0
EXIT_MEMBER_FAILED = 3

Say = Callable[..., None]


class MemberFailed(Exception):
    """A member gave up: in the process that it stands for, nothing happens any more."""


def make_cluster(directory: Path, members: int, seed: int) -> SimulatedCluster:
    """What is recorded, and what each image is opened as."""
    return SimulatedCluster(
        directory, size=members, seed=seed, snapshot_count=SNAPSHOT_COUNT, limits=LIMITS
    )


class Performer:
    """``say`` puts a mark into the stream."""

    def __init__(self, cluster: SimulatedCluster, say: Say) -> None:
        self._cluster = cluster
        self._say = say
        self._waiting: set[int] = set()
        self._lagging: Machine | None = None

    def begin(self) -> None:
        for machine in self._cluster.machines:
            if machine.process is None:
                machine.start()
        self._check_members()
        self._wait(lambda: self._cluster.leader() is not None)

    def submit(self, step: Submit) -> None:
        leader = self._leader()
        for number, request in enumerate(step.requests, step.first):
            self._waiting.add(number)
            self._say(sent=number)
            leader.member.propose(*encode(request), self._answer(number, request))
        self._wait(lambda: not self._waiting)

    def happen(self, event: Event) -> None:
        self._say(event=event.value)
        match event:
            case Event.COMMIT:
                self._cluster.scheduler.run_for(2 * LIMITS.backend_commit_interval_s)
            case Event.SNAPSHOT:
                self._leader().foundation.make()
            case Event.KILL:
                self._each(Machine.kill)
            case Event.STOP:
                self._each(self._stop)
            case Event.REST:
                self._cluster.scheduler.run_for(0.15)
            case Event.LAG:
                self._lag()
        self._check_members()

    def end(self) -> None:
        if self._lagging is not None:
            self._lag()
        self._cluster.settle()
        self._each(self._stop, start=False)
        self._say(event="end")

    # --- inside -------------------------------------------------------------------------------

    def _answer(self, number: int, request: Request) -> Callable[[bytes | RaftKVError], None]:
        def answered(outcome: bytes | RaftKVError) -> None:
            self._waiting.discard(number)
            if isinstance(outcome, RaftKVError):
                self._say(refused=number, error=str(outcome))
            else:
                self._say(acknowledged=number, revision=revision_of(request, outcome))

        return answered

    def _each(self, end: Callable[[Machine], None], *, start: bool = True) -> None:
        """End one member, which is the leader, or all of them, and start again."""
        for machine in self._cluster.machines:
            if machine.process is not None:
                end(machine)
        if start:
            self._lagging = None
            self.begin()

    def _stop(self, machine: Machine) -> None:
        """As SIGTERM: the database is committed, the log sealed."""
        ended: list[bool] = []
        machine.stop(lambda: ended.append(True))
        self._wait(lambda: bool(ended))

    def _lag(self) -> None:
        """Kill a follower for a while, so that what it lacks comes to it as a snapshot."""
        if self._lagging is None:
            leader = self._cluster.leader()
            machines = self._cluster.machines
            assert leader is not None, "asked between requests"
            self._lagging = machines[(machines.index(leader) + 1) % len(machines)]
            self._lagging.kill()
        else:
            assert self._lagging.start(), self._lagging.failure
            self._lagging = None
            self._cluster.settle()

    def _leader(self) -> MemberProcess:
        self._wait(lambda: self._cluster.leader() is not None)
        leader = self._cluster.leader()
        assert leader is not None, "just waited for"
        return leader.running

    def _wait(self, condition: Callable[[], bool]) -> None:
        def over() -> bool:
            self._check_members()
            return condition()

        if not self._cluster.scheduler.run_until(over, within_s=ANSWER_WITHIN_S):
            raise TimeoutError(f"nothing happened within {ANSWER_WITHIN_S} virtual seconds")

    def _check_members(self) -> None:
        for machine in self._cluster.machines:
            if machine.failure is not None:
                raise MemberFailed(str(machine.failure)) from machine.failure


def perform(directory: Path, seed: int, requests: int, members: int, say: Say) -> int:
    """The exit status: a member that failed ends the process, as it would its own."""
    try:
        performer = Performer(make_cluster(directory, members, seed), say)
        performer.begin()
        for step in draw_script(seed, requests, members=members):
            if isinstance(step, Submit):
                performer.submit(step)
            else:
                performer.happen(step)
        performer.end()
    except (MemberFailed, RaftKVError, OSError, lmdb.Error) as e:
        say(failed=repr(e))
        print(repr(e), file=sys.stderr)
        return EXIT_MEMBER_FAILED
    return 0


def _say_to_the_recorder() -> Say:
    recorder = ctypes.CDLL(None)
    try:
        mark = recorder.images_mark
    except AttributeError:
        raise SystemExit("the performer runs under the recorder only") from None

    def say(**what: str | int) -> None:
        mark(json.dumps(what).encode())

    return say


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--members", type=int, required=True)
    parser.add_argument("--mutant", choices=sorted(MUTANTS), default="")
    args = parser.parse_args()
    if args.mutant:
        MUTANTS[args.mutant].plant()
    return perform(args.directory, args.seed, args.requests, args.members, _say_to_the_recorder())


if __name__ == "__main__":
    sys.exit(main())
