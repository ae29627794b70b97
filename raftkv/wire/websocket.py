"""A stream over a websocket: each message of the client is a line of the body, each piece of the
answer is a message.

Owns: the framing, by ``wsproto``, and the bounds of a message. Must never do: offer compression: a
small message could become a large one. The subprotocol ``Bearer, TOKEN`` is how a browser, which
cannot set headers here, gives its token: the first of the two is accepted, the handler reads both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import h11
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Request,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from raftkv.wire.http_stream import HttpStreamProtocol
from raftkv.wire.service import HttpHead, HttpStreamHandler

if TYPE_CHECKING:
    from raftkv.wire.listener import Hub

BEARER = "Bearer"


class BadHandshake(Exception):
    """The request asks for a websocket, and not as it should."""


def asks_for_websocket(head: HttpHead) -> bool:
    return head.method == "GET" and head.headers.get("upgrade", "").lower() == "websocket"


class WebSocketStream(HttpStreamProtocol):
    """Begins with the handshake, whose request has been read. Raises BadHandshake when that is
    none; nothing was sent then."""

    def __init__(
        self,
        hub: Hub,
        transport: asyncio.Transport,
        request: HttpHead,
        handler: HttpStreamHandler,
        fields: list[tuple[bytes, bytes]],
    ) -> None:
        self._message = bytearray()
        self._websocket = WSConnection(ConnectionType.SERVER)
        asked = self._asked(fields, request.target)
        chosen = BEARER if BEARER in asked.subprotocols else None
        accepted = self._websocket.send(AcceptConnection(subprotocol=chosen))
        super().__init__(hub, transport, request, handler)
        self._write(accepted)

    def _asked(self, fields: list[tuple[bytes, bytes]], target: str) -> Request:
        try:
            self._websocket.initiate_upgrade_connection(fields, target)
        except (RemoteProtocolError, h11.LocalProtocolError, UnicodeError) as error:
            raise BadHandshake(str(error)) from None  # UnicodeError: a Host that is no name
        (asked,) = self._websocket.events()
        assert isinstance(asked, Request), asked
        return asked

    def start(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        """The handshake was the head; what a status would say, the pieces do."""

    def send(self, data: bytes) -> None:
        if not self._lingering:
            self._say(TextMessage(data=data.decode().rstrip("\n")))

    def _say(self, event: Event) -> None:
        try:
            self._write(self._websocket.send(event))
        except LocalProtocolError:
            self._transport.abort()  # the client has closed its side meanwhile

    def _received(self, data: bytes) -> None:
        try:
            self._websocket.receive_data(data)
            for event in self._websocket.events():
                self._take(event)
        except RemoteProtocolError as error:
            if error.event_hint is not None:
                self._say(error.event_hint)  # why, in the protocol's own code
            self._task.cancel()

    def _take(self, event: Event) -> None:
        if isinstance(event, TextMessage | BytesMessage):
            piece = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
            self._message += piece
            if len(self._message) > self._limits.http_body_bytes_max:
                limit = f"a message of more than {self._limits.http_body_bytes_max} bytes"
                self._say(CloseConnection(code=CloseReason.MESSAGE_TOO_BIG, reason=limit))
                self._task.cancel()
            elif event.message_finished:
                self._inbox.put(bytes(self._message) + b"\n")
                self._message.clear()
        elif isinstance(event, Ping):
            self._say(event.response())
        elif isinstance(event, CloseConnection):
            self._say(event.response())
            self._task.cancel()

    def _ending(self) -> bytes:
        try:
            return self._websocket.send(CloseConnection(code=CloseReason.NORMAL_CLOSURE))
        except LocalProtocolError:
            return b""  # both sides have said so
