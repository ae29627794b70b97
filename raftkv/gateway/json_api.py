"""The JSON gateway: etcd's unary methods as POST with a JSON body.

Owns: the translation of one request and one answer, and gRPC's codes as HTTP's, as grpc-gateway
does it for etcd: the .proto's field names, bytes in base64, 64-bit integers as strings, zero values
left out, unknown fields ignored. Must never do: know a method: it calls the services that the gRPC
port has, so both answer alike.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from raftkv.api import rpc_pb2
from raftkv.gateway.json_paths import PATHS, STREAM_PATHS
from raftkv.wire.service import HttpRequest, HttpResponse, Service, Status

PREFIX = "/v3/"
BETA_PREFIX = "/v3beta/"
_METADATA_PREFIX = "grpc-metadata-"
_JSON = "application/json"
_INVALID_ARGUMENT, _NOT_FOUND, _UNIMPLEMENTED = 3, 5, 12
_HTTP_STATUS = {
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
_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, GET, OPTIONS, PUT, DELETE",
    "access-control-allow-headers": "accept, content-type, authorization",
}


class JsonApi:
    """An ``HttpHandler`` for the paths under PREFIX."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = {service.name: service for service in services}

    async def __call__(self, request: HttpRequest, path: str) -> HttpResponse:
        """``path`` is the request's, without a query."""
        if request.method == "OPTIONS":
            return HttpResponse(200, b"", headers=_CORS)
        if request.method != "POST":
            return HttpResponse(405, b"Method Not Allowed\n", headers={**_CORS, "allow": "POST"})
        if path.startswith(BETA_PREFIX):
            path = PREFIX + path.removeprefix(BETA_PREFIX)
        if path in STREAM_PATHS:
            text = f"{path} answers with a stream, which is served over gRPC only"
            return _failure(Status(_UNIMPLEMENTED, text))
        if path not in PATHS:
            return _failure(Status(_NOT_FOUND, "Not Found"))
        return await self._call(*PATHS[path], request)

    async def _call(self, name: str, method: str, request: HttpRequest) -> HttpResponse:
        service = self._services.get(name)
        handler = None if service is None else service.unary.get(method)
        if service is None or handler is None:
            return _failure(Status(_UNIMPLEMENTED, f"unknown method {method} for service {name}"))
        asked, answered = _messages(name, method)
        try:
            payload = _parse(request.body, asked).SerializeToString()
        except (ValueError, json_format.ParseError) as e:
            return _failure(Status(_INVALID_ARGUMENT, str(e)))
        call = _Call(_metadata(request.headers))
        try:
            handler(payload, call)
        except Exception as error:  # noqa: BLE001 - the service says what its errors mean
            call.fail(service.status_of(error))
        outcome = await call.outcome
        if isinstance(outcome, Status):
            return _failure(outcome)
        answer = answered()
        answer.ParseFromString(outcome)
        text = json_format.MessageToJson(
            answer, preserving_proto_field_name=True, indent=None, ensure_ascii=False
        )
        return HttpResponse(200, text.encode(), _JSON, _CORS)


class _Call:
    """``UnaryCall`` whose answer can be awaited."""

    deadline: float | None = None
    peer = "json"
    peer_common_name = ""
    """Never a certificate's: behind the gateway there may be anybody, as in etcd."""

    def __init__(self, metadata: Mapping[str, str]) -> None:
        self.metadata = metadata
        self.outcome: asyncio.Future[bytes | Status] = asyncio.get_running_loop().create_future()

    @property
    def cancelled(self) -> bool:
        return self.outcome.cancelled()

    def reply(self, message: bytes) -> None:
        if not self.outcome.done():
            self.outcome.set_result(message)

    def reply_in_pieces(self, pieces: Sequence[bytes]) -> None:
        self.reply(b"".join(pieces))

    def fail(self, status: Status) -> None:
        if not self.outcome.done():
            self.outcome.set_result(status)


def _messages(service: str, method: str) -> tuple[type[Message], type[Message]]:
    """The classes of the request and of the answer."""
    name = service.removeprefix("etcdserverpb.")
    found = rpc_pb2.DESCRIPTOR.services_by_name[name].methods_by_name[method]
    return GetMessageClass(found.input_type), GetMessageClass(found.output_type)


def _parse(body: bytes, message: type[Message]) -> Message:
    """The first JSON value of ``body``; an empty body is an empty request. Raises ValueError,
    ParseError."""
    text = body.decode().lstrip()
    value = json.JSONDecoder().raw_decode(text)[0] if text else {}
    if not isinstance(value, dict):
        raise json_format.ParseError(f"a request is an object, not a {type(value).__name__}")
    return json_format.ParseDict(value, message(), ignore_unknown_fields=True)


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """What the client wants the method to know of it."""
    found = {
        name.removeprefix(_METADATA_PREFIX): value
        for name, value in headers.items()
        if name.startswith(_METADATA_PREFIX)
    }
    if "authorization" in headers:
        found["token"] = headers["authorization"]
    return found


def _failure(status: Status) -> HttpResponse:
    body = {"error": status.message, "code": status.code, "message": status.message}
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return HttpResponse(_HTTP_STATUS.get(status.code, 500), text.encode(), _JSON, _CORS)
