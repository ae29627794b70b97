"""Both ports without a socket: a transport that keeps what is written, and what must hold after.

Owns: ClientPort and PeerPort, each playing one session to its end and saying what is wrong. Must
never do: choose what is said.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from raftkv.gateway.http import HttpGateway
from raftkv.gateway.json_api import JsonApi
from raftkv.mvcc.watch_hub import WatchHub
from raftkv.peer.framing import Greeting, Purpose
from raftkv.peer.http import HttpAnswer
from raftkv.peer.listener import FrameSink, Identity, MessageSink, PeerProtocol
from raftkv.peer.snapshot_stream import SnapshotSink
from raftkv.raft.config import Config
from raftkv.raft.message import ConfState, Entry, HardState, Message, SnapshotMeta
from raftkv.raft.raw_node import RawNode
from raftkv.rpc.cluster import cluster_service
from raftkv.rpc.health import Health
from raftkv.rpc.kv import kv_service
from raftkv.rpc.maintenance import maintenance_service
from raftkv.rpc.watch import watch_service
from raftkv.server.asyncio_runtime import AsyncioScheduler
from raftkv.tls.rate import Ration
from raftkv.wire.http2 import Http2Protocol
from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import Doorway, Hub
from raftkv.wire.routes import Routes
from tests.fuzz.campaign import Session
from tests.fuzz.peer_speech import Place
from tests.gateway.test_gateway_http import Source
from tests.rpc.fake_member import FakeMember

TURNS = 4
WRITTEN_BYTES_MAX = 16 << 20
PLACE = Place(0xC1, 1, (2, 3))
COMMITTED = (Entry(1, 1), Entry(1, 2), Entry(2, 3))


class Transport(asyncio.Transport):
    """Takes everything at once."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written = bytearray()
        self.ended = False
        self.lost = False
        self.protocol: Any = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.lost:
            raise RuntimeError("the handler is closed")  # as uvloop's transports do
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        """What is sent all the same is taken."""

    def resume_reading(self) -> None:
        """As above."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever buffered."""

    def get_write_buffer_size(self) -> int:
        return 0


class Complaints(logging.Handler):
    """Errors that were logged, with tracebacks or without, and those the loop was told."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []
        loop.set_exception_handler(lambda _, context: self.lines.append(repr(context)))
        logging.getLogger().addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.lines.append(self.format(record))

    def take(self) -> str:
        lines, self.lines = self.lines, []
        return "\n".join(lines)


class _Port:
    """A loop of its own, so that a test needs none."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._complaints = Complaints(self.loop)

    def play(self, session: Session) -> str:
        """Empty when all is well, else what is wrong; nothing is left for the next session."""
        complaint = self.loop.run_until_complete(self._play(session))
        logged = self._complaints.take()
        self._forget()
        return complaint or logged

    def _forget(self) -> None:
        """What a failed session left behind."""

    def close(self) -> None:
        logging.getLogger().removeHandler(self._complaints)
        self.loop.close()

    async def _play(self, session: Session) -> str:
        raise NotImplementedError

    async def _speak(self, transport: Transport, session: Session) -> str:
        """Say all pieces and hang up."""
        try:
            for piece in session:
                if transport.ended:
                    break
                if piece:
                    transport.protocol.data_received(piece)
                await self._turn()
            if not transport.protocol.eof_received():
                transport.ended = True
            await self._turn()
            transport.ended = transport.lost = True
            transport.protocol.connection_lost(None)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            return f"{type(error).__name__}: {error}"
        await self._turn()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            return f"{len(left)} tasks are left: {left}"
        if len(transport.written) > WRITTEN_BYTES_MAX:
            return f"{len(transport.written)} bytes were answered"
        return ""

    async def _turn(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)


class ClientPort(_Port):
    """HTTP/2 and HTTP/1.1 with a member's services behind it, on a real store."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        member: Any = FakeMember(directory / "db")
        member.hub = WatchHub(member.store)
        member.random = Random(1)
        member.scheduler = AsyncioScheduler(self.loop)
        services = [
            kv_service(member),
            # The fake has no file to stream.
            replace(maintenance_service(member), streams={}),
            cluster_service(member),
            watch_service(member),
            Health().service(),
        ]
        self._member = member
        http = HttpGateway(Source(), lambda: b"metrics\n", JsonApi(services))
        limits = WireLimits(resets_burst=50, pings_burst=50)
        self._hub = self.loop.run_until_complete(
            self._make_hub(Routes(services, limits, http), http)
        )

    def _forget(self) -> None:
        self._hub.conversations.clear()

    async def _make_hub(self, routes: Routes, http: HttpGateway) -> Hub:
        return Hub(routes, http, WireLimits(resets_burst=50, pings_burst=50))

    def close(self) -> None:
        super().close()
        self._member.backend.close()

    async def _play(self, session: Session) -> str:
        transport = Transport()
        transport.protocol = door = Doorway(self._hub)
        door.connection_made(transport)
        complaint = await self._speak(transport, session)
        if complaint:
            return complaint
        if self._hub.conversations:
            return f"the hub keeps {self._hub.conversations}"
        if isinstance(transport.protocol, Http2Protocol):
            connection = transport.protocol.connection
            kept = (connection.inflow.buffered_bytes, connection.output.backlog)
            if kept != (0, 0) or connection.streams:
                return f"the connection keeps {kept} bytes, {len(connection.streams)} streams"
        return ""


class PeerPort(_Port):
    """The peer port before a Raft node of three with three committed entries; nothing is on disk,
    and a snapshot's file is never a database."""

    def __init__(self) -> None:
        super().__init__()
        self._connections: set[PeerProtocol] = set()
        self._files = 0

    async def _play(self, session: Session) -> str:
        node = _node()
        transport = Transport()
        transport.protocol = PeerProtocol(
            Identity(PLACE.cluster_id, PLACE.member_id),
            AsyncioScheduler(asyncio.get_running_loop()),
            self._connections,
            lambda greeting, taken: self._sink(node, greeting, taken),
            has_removed=lambda sender: sender == PLACE.others[1],
            respond=_respond,
            complaints=Ration(1, 0, self.loop.time),
        )
        transport.protocol.connection_made(transport)
        complaint = await self._speak(transport, session)
        if complaint:
            return complaint
        if tuple(map(node.entry, (1, 2, 3))) != COMMITTED or node.commit_index < len(COMMITTED):
            return f"what was committed is now {tuple(map(node.entry, (1, 2, 3)))}"
        if self._connections or self._files:
            return f"{len(self._connections)} connections and {self._files} files are open"
        return ""

    def _forget(self) -> None:
        self._connections.clear()
        self._files = 0

    def _sink(self, node: RawNode, greeting: Greeting, transport: asyncio.Transport) -> FrameSink:
        def deliver(messages: list[Message]) -> None:
            for message in messages:
                node.step(message)
            _drain(node)

        if greeting.purpose is Purpose.SNAPSHOT:
            self._files += 1
            return SnapshotSink(greeting, transport, Worker(), File(self), lambda m: deliver([m]))
        return MessageSink(greeting, deliver, 1 << 20)

    def file_closed(self) -> None:
        self._files -= 1


class Worker:
    """A worker without a thread: its work is done in a later turn of the loop."""

    def run(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        asyncio.get_running_loop().call_soon(self._work, job, done)

    def _work(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        try:
            job()
        except Exception as error:  # noqa: BLE001 - as a worker reports it
            done(error)
        else:
            done(None)


class File:
    """A snapshot's file, which turns out to be none."""

    def __init__(self, port: PeerPort) -> None:
        self._port = port

    def write(self, chunk: bytes) -> None:
        assert chunk, "an empty chunk is the end"

    def commit(self, index: int) -> None:
        raise ValueError("not a snapshot")

    def discard(self) -> None:
        self._port.file_closed()


def _respond(method: str, path: str, reply: Callable[[HttpAnswer], None]) -> None:
    reply(HttpAnswer(200, path.encode("utf-8", "replace")))


def _node() -> RawNode:
    return RawNode(
        Config(id=PLACE.member_id),
        hard_state=HardState(3, 0, 3),
        snapshot=SnapshotMeta(0, 0, ConfState((1, 2, 3))),
        entries=COMMITTED,
        applied=3,
        random=Random(1),
        snapshot_source=lambda: None,
        conf_state=ConfState((1, 2, 3)),
    )


def _drain(node: RawNode) -> None:
    """All that the node wants done is done, at once."""
    for _ in range(100):
        if not node.has_ready():
            return
        ready = node.ready()
        if ready.must_sync or ready.hard_state or ready.messages_after_persist or ready.entries:
            node.advance()
        if ready.committed_entries:
            node.advance_applied(ready.committed_entries[-1].index)
    raise AssertionError("the node is never done")
