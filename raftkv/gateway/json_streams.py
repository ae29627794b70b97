"""The JSON gateway's streams: JSON objects one after another, both ways at once.

Owns: the translation of both directions, as grpc-gateway does it for etcd: a line of
``{"result":{...}}`` for each answer, and ``{"error":{...}}`` for what ends the stream. Over a
websocket any path may be asked, and each line is a message. Must never do: know a method, or hold
answers: it is the services' Stream, and tells them what the client has not taken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from google.protobuf import json_format
from google.protobuf.message import Message

from raftkv.errors import InvalidRequest, RequestTooLarge
from raftkv.gateway.json_api import (
    INVALID_ARGUMENT,
    JSON,
    JsonApi,
    compact_json,
    failure_of,
    http_status_of,
    json_of,
    messages_of,
    metadata_of,
    parse_request,
    unknown_method,
)
from raftkv.gateway.json_objects import JsonObjects
from raftkv.gateway.json_paths import STREAM_PATHS
from raftkv.gateway.target import PREFIX, path_of
from raftkv.wire.service import (
    HttpExchange,
    HttpHead,
    HttpRequest,
    HttpResponse,
    HttpStreamHandler,
    SendsEach,
    Service,
    Status,
    StreamMethod,
)

OBJECT_BYTES_MAX = 4 << 20
"""A request in JSON: base64 makes the largest one a third longer."""


class JsonStreams:
    """``for_request`` is the listener's ``HttpStreams``."""

    def __init__(self, services: Sequence[Service], json_api: JsonApi) -> None:
        self._services = {service.name: service for service in services}
        self._json_api = json_api

    def for_request(self, head: HttpHead) -> HttpStreamHandler | None:
        path = path_of(head.target)
        if head.method == "POST" and path in STREAM_PATHS:
            return self._serve
        is_websocket = head.headers.get("upgrade", "").lower() == "websocket"
        if head.method == "GET" and is_websocket and path.startswith(PREFIX):
            return self._serve
        return None

    async def _serve(self, exchange: HttpExchange) -> None:
        path = path_of(exchange.request.target)
        if path not in STREAM_PATHS:
            await self._serve_whole(exchange, path)
            return
        name, method = STREAM_PATHS[path]
        service = self._services.get(name)
        handler = None if service is None else service.streams.get(method)
        if service is None or handler is None:
            _respond(exchange, failure_of(unknown_method(name, method)))
            return
        await _Conversation(exchange, *messages_of(name, method)).hold(service, handler)

    async def _serve_whole(self, exchange: HttpExchange, path: str) -> None:
        """A unary method asked over a websocket: the first object is the request."""
        objects = JsonObjects(OBJECT_BYTES_MAX)
        body = b""
        try:
            async for piece in exchange:
                found = objects.feed(piece)
                if found:
                    body = found[0]
                    break
        except (ValueError, RequestTooLarge) as e:
            _respond(exchange, failure_of(Status(INVALID_ARGUMENT, str(e))))
            return
        head = exchange.request
        request = HttpRequest("POST", head.target, head.headers, body, peer=head.peer)
        _respond(exchange, await self._json_api(request, path))


def _respond(exchange: HttpExchange, response: HttpResponse) -> None:
    exchange.start(response.status, response.content_type, response.headers)
    exchange.send(response.body)


class _BadRequest(InvalidRequest):
    """What the client sent is no request; ``str`` says why."""


class _Conversation(SendsEach):
    """Implements ``service.Stream`` over an exchange."""

    deadline: float | None = None
    peer_common_name = ""
    """Never the caller's: a certificate's CN is no user here, as in etcd."""

    def __init__(
        self, exchange: HttpExchange, asked: type[Message], answered: type[Message]
    ) -> None:
        self._exchange = exchange
        self._asked = asked
        self._answered = answered
        self._started = False
        self.metadata = metadata_of(exchange.request.headers)
        self.peer = exchange.request.peer
        self.drain = exchange.drain

    async def hold(self, service: Service, handler: StreamMethod) -> None:
        """Until the method ends."""
        try:
            await handler(self)
        except _BadRequest as e:
            self._fail(Status(INVALID_ARGUMENT, str(e)))
        except Exception as e:  # noqa: BLE001 - the service says what its errors mean
            self._fail(service.status_of(e))
        else:
            self._start(200)

    def _start(self, status: int) -> None:
        if not self._started:
            self._started = True
            self._exchange.start(status, JSON, {})

    def _fail(self, status: Status) -> None:
        """With HTTP's status while that can still be said, in the last line otherwise."""
        if not self._started:
            self._start(http_status_of(status))
            self._exchange.send(failure_of(status).body)
            return
        error = {"code": status.code, "message": status.message}
        self._exchange.send(compact_json({"error": error}).encode() + b"\n")

    # --- service.Stream -------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[bytes]:
        objects = JsonObjects(OBJECT_BYTES_MAX)
        async for piece in self._exchange:
            try:
                found = objects.feed(piece)
            except (ValueError, RequestTooLarge) as e:
                raise _BadRequest(str(e)) from None
            for each in found:
                yield self._payload(each)
        if objects.is_within:
            raise _BadRequest("the body ends within a JSON object")

    def _payload(self, text: bytes) -> bytes:
        try:
            return parse_request(text, self._asked).SerializeToString()
        except (ValueError, json_format.ParseError) as e:
            raise _BadRequest(str(e)) from None

    def send(self, message: bytes) -> None:
        self._start(200)
        answer = self._answered.FromString(message)
        self._exchange.send(f'{{"result":{json_of(answer)}}}\n'.encode())

    @property
    def backlog(self) -> int:
        return self._exchange.backlog
