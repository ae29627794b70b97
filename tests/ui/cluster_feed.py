"""Feeds on the members of a simulated cluster: real members, virtual time, no sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, TypeVar

from google.protobuf.message import Message
from prometheus_client import Histogram

from raftkv.api.rpc_pb2 import (
    CompactionRequest,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    PutResponse,
)
from raftkv.apply.batch import RequestKind
from raftkv.errors import RaftKVError
from raftkv.peer.http import HttpAnswer
from raftkv.peer.transport import PeerStatistics, Tap
from raftkv.raft.message import Message as RaftMessage
from raftkv.server.config import Limits
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import MemberProcess
from raftkv.ui.feed import Feed
from raftkv.ui.member_row import MemberRow
from raftkv.ui.prefixes import Prefixes
from raftkv.ui.witness import LOOK, Witness

T = TypeVar("T")
STEPS_MAX = 1_000
EPOCH_MS = 1_700_000_000_000
SMALL_LOG = Limits(wal_segment_bytes=1 << 16)
"""A new log is filled with zeros: 64 MiB of them would be most of a test's time."""


class FakeWires:
    """What a witness sees of a transport: links as the test sets them."""

    def __init__(self) -> None:
        self.tap: Tap | None = None
        self.link_changed: Callable[[int, bool], None] = lambda peer, is_open: None
        self.snapshot_begun: Callable[[int], None] = lambda peer: None
        self.cut_peers: frozenset[int] = frozenset()
        self.up: dict[int, float | None] = {}

    def statistics(self) -> list[PeerStatistics]:
        return [
            PeerStatistics(
                peer=peer, is_open=True, bytes_sent=0, bytes_received=0, sent_failures=0,
                disconnects=0, round_trip_s=seconds,
            )
            for peer, seconds in self.up.items()
        ]  # fmt: skip


class FakePage:
    """Keeps the events that it was offered."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.allowed = True
        self.ended = False

    def offer(self, event: bytes, *, droppable: bool) -> None:
        head, _, data = event.decode().rstrip("\n").partition("\ndata: ")
        self.events.append((head.removeprefix("event: "), json.loads(data)))

    def still_allowed(self) -> bool:
        return self.allowed

    def end(self) -> None:
        self.ended = True

    def of(self, name: str) -> list[dict[str, Any]]:
        return [data for kind, data in self.events if kind == name]

    @property
    def cluster(self) -> dict[str, Any]:
        """The newest state."""
        return self.of("cluster")[-1]

    @property
    def happened(self) -> list[tuple[str, str]]:
        """Names of members, and what happened to them."""
        names = {row["id"]: row["name"] for row in self.cluster["members"]}
        return [(names[each["member"]], each["what"]) for each in self.of("happening")]


class Seat:
    """One member with its witness and its feed. ``skew_ms`` is how far its clock is ahead."""

    def __init__(self, stage: Stage, process: MemberProcess, skew_ms: int) -> None:
        self.member = process.member
        self.wires = FakeWires()
        self.asked: list[str] = []
        times = {name: Histogram(name, name, registry=None) for name in ("fsync", "commit")}
        times["apply"] = Histogram("apply", "apply", registry=None)
        self.times = times
        row = MemberRow(self.member, times, lambda: 0, f"http://127.0.0.1/{self.name}")

        def now_ms() -> int:
            return EPOCH_MS + skew_ms + round(1000 * stage.cluster.scheduler.now())

        def ask(url: str, path: str, done: Callable[[HttpAnswer | None], None]) -> None:
            self.asked.append(url)
            done(stage.answer(url, path))

        self.witness = Witness(self.member, self.wires, row, now_ms)
        store = self.member.store
        prefixes = Prefixes(lambda: store, self.member.scheduler.now, self.member.read_local)
        self.feed = Feed(self.member, self.witness, ask, prefixes, stage.local)

    @property
    def name(self) -> str:
        return self.member.config.name


class Stage:
    """``silent`` and ``old`` are names of members that do not answer, and that answer 404."""

    def __init__(self, *, size: int = 3, skew_ms: int = 0, local: Any = None) -> None:
        self.cluster = SimulatedCluster(size=size, seed=7, limits=SMALL_LOG)
        self.local = local
        self.silent: set[str] = set()
        self.old: set[str] = set()
        self.cluster.start_all()
        self.seats = [
            Seat(self, process, skew_ms * number)
            for number, process in enumerate(self.cluster.running)
        ]
        taps = {seat.member.member_id: seat.wires for seat in self.seats}

        def seen(message: RaftMessage) -> None:
            wires = taps[message.sender]
            if wires.tap is not None:
                wires.tap((message,), ())

        self.cluster.network.seen = seen

    def seat(self, name: str) -> Seat:
        return next(seat for seat in self.seats if seat.name == name)

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.cluster.scheduler.run_until(lambda: False, within_s=seconds)

    def answer(self, url: str, path: str) -> HttpAnswer | None:
        for seat in self.seats:
            if url in seat.member.config.initial_advertise_peer_urls:
                if seat.name in self.silent:
                    return None
                if seat.name in self.old:
                    return HttpAnswer(HTTPStatus.NOT_FOUND)
                assert path.startswith(LOOK), path
                return HttpAnswer(HTTPStatus.OK, seat.witness.answer(path))
        return None

    def open(self, name: str) -> FakePage:
        page = FakePage()
        self.seat(name).feed.open(page)
        return page


async def served(stage: Stage, asked: Coroutine[Any, Any, T]) -> T:
    """What ``asked`` comes to, while virtual time passes in small steps."""
    task = asyncio.ensure_future(asked)
    for _ in range(STEPS_MAX):
        await asyncio.sleep(0)
        if task.done():
            return task.result()
        stage.run(0.02)
    raise AssertionError(f"no answer in {STEPS_MAX} steps of 20 virtual milliseconds")


def written(stage: Stage, kind: RequestKind, request: Message) -> bytes:
    """The reply of a request through the log of the leader."""
    outcomes: list[bytes | RaftKVError] = []
    leader = stage.seat(stage.cluster.wait_for_leader().name).member
    leader.propose(kind, request.SerializeToString(), outcomes.append)
    assert stage.cluster.scheduler.run_until(lambda: bool(outcomes), within_s=10)
    assert isinstance(outcomes[0], bytes), outcomes[0]
    return outcomes[0]


def put(stage: Stage, key: bytes, value: bytes, lease: int = 0) -> int:
    """The revision of it."""
    request = PutRequest(key=key, value=value, lease=lease)
    return PutResponse.FromString(written(stage, RequestKind.PUT, request)).header.revision


def delete(stage: Stage, key: bytes) -> int:
    reply = written(stage, RequestKind.DELETE_RANGE, DeleteRangeRequest(key=key))
    return DeleteRangeResponse.FromString(reply).header.revision


def compact(stage: Stage, revision: int) -> None:
    written(stage, RequestKind.COMPACT, CompactionRequest(revision=revision))
