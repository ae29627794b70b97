"""A stream over HTTP/1.1: bodies in chunks, both ways at once.

Owns: the framing, by ``h11``. Must never do: bound anything; ``http_stream`` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import h11

from raftkv.wire.http_stream import HttpStreamProtocol
from raftkv.wire.service import HttpHead, HttpStreamHandler

if TYPE_CHECKING:
    from raftkv.wire.listener import Hub


class Http1Stream(HttpStreamProtocol):
    """``connection`` has given its request's head, and may hold the beginning of the body."""

    def __init__(
        self,
        hub: Hub,
        transport: asyncio.Transport,
        request: HttpHead,
        handler: HttpStreamHandler,
        connection: h11.Connection,
    ) -> None:
        super().__init__(hub, transport, request, handler)
        self._h11 = connection
        self._advance()

    def start(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        fields = [("content-type", content_type), ("connection", "close"), *headers.items()]
        self._send(h11.Response(status_code=status, headers=fields))

    def send(self, data: bytes) -> None:
        self._send(h11.Data(data=data))

    def _send(self, event: h11.Event) -> None:
        if not self._lingering:
            self._write(self._h11.send(event) or b"")

    def _received(self, data: bytes) -> None:
        if not self._inbox.ended:  # what follows the request is nobody's
            self._h11.receive_data(data)
            self._advance()

    def _advance(self) -> None:
        try:
            while not self._inbox.ended:
                event = self._h11.next_event()
                if event is h11.NEED_DATA:
                    break
                if isinstance(event, h11.Data):
                    self._inbox.put(bytes(event.data))
                else:
                    self._inbox.end()
        except h11.RemoteProtocolError:
            self._transport.abort()
            return
        if self._h11.they_are_waiting_for_100_continue:
            self._send(h11.InformationalResponse(status_code=100, headers=[]))

    def _ending(self) -> bytes:
        if self._h11.our_state is h11.SEND_BODY:
            return self._h11.send(h11.EndOfMessage()) or b""
        return b""
