"""Incoming peer connections: greet, then messages or a snapshot; or an HTTP request; or be closed.

Owns: the greeting's judgement, its deadline, and the reading of both kinds of connection.
Must never do: trust: whoever is of another cluster, calls another member, sends garbage or says
nothing within the deadline is answered or closed, and costs one frame of memory at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from raftkv.log_fields import fields, hex_id
from raftkv.peer.codec import PeerProtocolError, decode_message
from raftkv.peer.framing import (
    GREETING_SIZE,
    PROTOCOL_VERSION,
    Answer,
    FrameReader,
    Greeting,
    encode_answer,
)
from raftkv.peer.http import METHODS, HttpSink, Respond
from raftkv.peer.plausibility import WITH_SNAPSHOT, check_message
from raftkv.peer.sockets import TLS_HANDSHAKE_RECORD, keep_alive
from raftkv.raft.errors import ImpossibleMessage
from raftkv.raft.message import NO_NODE, Message
from raftkv.scheduler import Scheduler, Timer
from raftkv.tls.rate import Ration

GREETING_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 256

log = logging.getLogger("raftkv.peer")


class FrameSink(Protocol):
    """Where the frames of one accepted connection go. May pause the reading through ``feed``."""

    def feed(self, data: bytes) -> None:
        """Take bytes after the greeting. Raises PeerProtocolError or ImpossibleMessage to end the
        connection."""

    def lost(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Identity:
    cluster_id: int
    member_id: int


class MessageSink:
    """Decodes frames to messages and hands over all that one read completed, in order."""

    def __init__(
        self,
        greeting: Greeting,
        deliver: Callable[[list[Message]], None],
        frame_bytes_max: int,
        received: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._sender = greeting.sender
        self._target = greeting.target
        self._deliver = deliver
        self._received = received
        self._frames = FrameReader(frame_bytes_max)

    def feed(self, data: bytes) -> None:
        self._received(len(data))
        messages = [self._message(body) for body in self._frames.feed(data)]
        if messages:
            self._deliver(messages)

    def _message(self, body: bytes) -> Message:
        message = decode_message(body)
        check_message(message, sender=self._sender, target=self._target)
        if message.type in WITH_SNAPSHOT:
            raise PeerProtocolError("a snapshot comes on a connection of its own")
        return message

    def lost(self) -> None:
        pass


class PeerProtocol(asyncio.Protocol):
    """One accepted connection. ``open_sink`` makes the sink once the greeting is accepted."""

    def __init__(
        self,
        identity: Identity,
        scheduler: Scheduler,
        connections: set[PeerProtocol],
        open_sink: Callable[[Greeting, asyncio.Transport], FrameSink | None],
        *,
        has_removed: Callable[[int], bool],
        respond: Respond,
        complaints: Ration,
    ) -> None:
        self.sender = 0
        self._identity = identity
        self._has_removed = has_removed
        self._respond = respond
        self._complaints = complaints
        self._scheduler = scheduler
        self._connections = connections
        self._open_sink = open_sink
        self._greeting = b""
        self._sink: FrameSink | None = None
        self._timer: Timer | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        self.transport = transport
        if len(self._connections) >= CONNECTIONS_MAX:
            transport.abort()
            return
        self._connections.add(self)
        keep_alive(transport)
        self._timer = self._scheduler.call_later(GREETING_TIMEOUT_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None, "data before a connection"
        try:
            if self._sink is None:
                data = self._greet(data)
            if self._sink is not None and data:
                self._sink.feed(data)
        except (PeerProtocolError, ImpossibleMessage) as e:
            more = self._complaints.ask()
            if more is not None:
                peer = self.transport.get_extra_info("peername")
                told = fields(remote_address=str(peer), error=str(e), lines_left_out=more)
                log.warning("closing a connection on the peer port", extra=told)
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._sink is not None:
            self._sink.lost()

    def _greet(self, data: bytes) -> bytes:
        """Take the greeting from ``data`` and answer it; return what came after it."""
        assert self.transport is not None, "greeted before connected"
        assert self._timer is not None, "greeted twice"
        self._greeting += data
        if self._greeting.startswith(METHODS):
            self._timer.cancel()
            self._timer = self._scheduler.call_later(GREETING_TIMEOUT_S, self.transport.abort)
            self._sink = HttpSink(self.transport, self._respond)
            return self._greeting
        if self._greeting.startswith(TLS_HANDSHAKE_RECORD):
            raise PeerProtocolError("it speaks TLS, this port is plain: use http")
        if len(self._greeting) < GREETING_SIZE:
            return b""
        greeting = Greeting.decode(self._greeting[:GREETING_SIZE])
        rest = self._greeting[GREETING_SIZE:]
        self._timer.cancel()
        self.sender = greeting.sender
        answer = self._judge(greeting)
        if answer is Answer.OK:
            self._sink = self._open_sink(greeting, self.transport)
            if self._sink is None:
                answer = Answer.UNKNOWN_SENDER
        self.transport.write(encode_answer(answer))
        if answer is not Answer.OK:
            reason = answer.name.lower().replace("_", " ")
            told = fields(remote_peer_id=hex_id(greeting.sender), reason=reason)
            log.warning("refusing a peer on the peer port", extra=told)
            self.transport.close()
        return rest

    def _judge(self, greeting: Greeting) -> Answer:
        if greeting.version != PROTOCOL_VERSION:
            return Answer.UNSUPPORTED_VERSION
        if greeting.cluster_id != self._identity.cluster_id:
            return Answer.CLUSTER_ID_MISMATCH
        if greeting.target != self._identity.member_id:
            return Answer.NOT_THE_TARGET
        if greeting.sender in (NO_NODE, self._identity.member_id):
            return Answer.UNKNOWN_SENDER
        if self._has_removed(greeting.sender):
            return Answer.REMOVED
        return Answer.OK
