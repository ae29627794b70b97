"""The JSON gateway: etcd's unary methods as POST with a JSON body; ``json_streams`` has the rest.

Owns: the translation of one request and one answer, and gRPC's codes as HTTP's, as grpc-gateway
does it for etcd: the .proto's field names, bytes in base64, 64-bit integers as strings, zero values
left out, unknown fields ignored. Must never do: know a method: it calls the services that the gRPC
port has, so both answer alike.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from raftkv.api import rpc_pb2, v3election_pb2, v3lock_pb2
from raftkv.gateway.json_paths import PATHS
from raftkv.wire.service import HttpRequest, HttpResponse, Service, Status

_METADATA_PREFIX = "grpc-metadata-"
JSON = "application/json"
BEARER = "Bearer"
INVALID_ARGUMENT, _NOT_FOUND, _UNIMPLEMENTED = 3, 5, 12
HTTP_STATUS = {
    1: 499,
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 400,
    10: 409,
    11: 400,
    12: 501,
    14: 503,
    16: 401,
}
_POOL = rpc_pb2.DESCRIPTOR.pool
"""Where every service of these files is known by its full name."""
assert all(file.DESCRIPTOR.pool is _POOL for file in (v3election_pb2, v3lock_pb2)), "two pools"


class JsonApi:
    """An ``HttpHandler`` for the paths under PREFIX."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = {service.name: service for service in services}

    async def __call__(self, request: HttpRequest, path: str) -> HttpResponse:
        """``path`` as ``path_of`` gives it."""
        if request.method != "POST":
            return HttpResponse(405, b"Method Not Allowed\n", headers={"allow": "POST"})
        if path not in PATHS:
            return failure_of(Status(_NOT_FOUND, "Not Found"))
        return await self._call(*PATHS[path], request)

    async def _call(self, name: str, method: str, request: HttpRequest) -> HttpResponse:
        service = self._services.get(name)
        handler = None if service is None else service.unary.get(method)
        if service is None or handler is None:
            return failure_of(unknown_method(name, method))
        asked, answered = messages_of(name, method)
        try:
            payload = parse_request(request.body, asked).SerializeToString()
        except (ValueError, json_format.ParseError) as e:
            return failure_of(Status(INVALID_ARGUMENT, str(e)))
        except RecursionError:
            return failure_of(Status(INVALID_ARGUMENT, "the request is nested too deeply"))
        call = _Call(metadata_of(request.headers), request.peer)
        try:
            handler(payload, call)
        except Exception as error:  # noqa: BLE001 - the service says what its errors mean
            call.fail(service.status_of(error))
        outcome = await call.outcome
        if isinstance(outcome, Status):
            return failure_of(outcome)
        answer = answered()
        answer.ParseFromString(outcome)
        return HttpResponse(200, json_of(answer).encode(), JSON)


class _Call:
    """``UnaryCall`` whose answer can be awaited."""

    deadline: float | None = None
    peer_common_name = ""
    """Never the caller's: a certificate's CN is no user here, as in etcd."""

    def __init__(self, metadata: Mapping[str, str], peer: str) -> None:
        self.metadata = metadata
        self.peer = peer
        self.outcome: asyncio.Future[bytes | Status] = asyncio.get_running_loop().create_future()

    @property
    def cancelled(self) -> bool:
        return self.outcome.cancelled()

    def when_cancelled(self, proceed: Callable[[], object]) -> None:
        def ended(outcome: asyncio.Future[bytes | Status]) -> None:
            if outcome.cancelled():
                proceed()

        self.outcome.add_done_callback(ended)

    def reply(self, message: bytes) -> None:
        if not self.outcome.done():
            self.outcome.set_result(message)

    def reply_in_pieces(self, pieces: Sequence[bytes]) -> None:
        self.reply(b"".join(pieces))

    def fail(self, status: Status) -> None:
        if not self.outcome.done():
            self.outcome.set_result(status)


def unknown_method(service: str, method: str) -> Status:
    return Status(_UNIMPLEMENTED, f"unknown method {method} for service {service}")


def messages_of(service: str, method: str) -> tuple[type[Message], type[Message]]:
    """The classes of the request and of the answer."""
    found = _POOL.FindServiceByName(service).methods_by_name[method]
    return GetMessageClass(found.input_type), GetMessageClass(found.output_type)


def json_of(message: Message) -> str:
    """As grpc-gateway writes it for etcd, in one line."""
    return compact_json(json_format.MessageToDict(message, preserving_proto_field_name=True))


def parse_request(body: bytes, message: type[Message]) -> Message:
    """The first JSON value of ``body``; an empty body is an empty request. Raises ValueError,
    ParseError."""
    text = body.decode().lstrip()
    try:
        value = json.JSONDecoder().raw_decode(text)[0] if text else {}
    except RecursionError:
        raise json_format.ParseError("the request is nested too deeply") from None
    if not isinstance(value, dict):
        raise json_format.ParseError(f"a request is an object, not a {type(value).__name__}")
    try:
        return json_format.ParseDict(value, message(), ignore_unknown_fields=True)
    except SystemError:  # protobuf's, for an enum's name with a lone surrogate
        raise json_format.ParseError("a name in the request is no text") from None


def metadata_of(headers: Mapping[str, str]) -> dict[str, str]:
    """What the client wants the method to know of it. A browser's websocket has no header for its
    token, and names it as a subprotocol: ``Bearer, TOKEN``."""
    found = {
        name.removeprefix(_METADATA_PREFIX): value
        for name, value in headers.items()
        if name.startswith(_METADATA_PREFIX)
    }
    scheme, comma, token = headers.get("sec-websocket-protocol", "").partition(",")
    if "authorization" in headers:
        found["token"] = headers["authorization"]
    elif comma and scheme.strip() == BEARER:
        found["token"] = f"{BEARER} {token.strip()}"
    return found


def failure_of(status: Status) -> HttpResponse:
    body = {"error": status.message, "code": status.code, "message": status.message}
    return HttpResponse(http_status_of(status), compact_json(body).encode(), JSON)


def http_status_of(status: Status) -> int:
    return HTTP_STATUS.get(status.code, 500)


def compact_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
