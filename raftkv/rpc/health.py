"""grpc.health.v1.Health: Check and Watch.

Owns: whether this server says that it serves, and telling those who watch. The service "" is the
server as a whole, as in etcd; there is no other. Must never do: find out by itself; the owner calls
``set_serving`` when the member is ready and when it stops.
"""

from __future__ import annotations

import asyncio
from enum import IntEnum
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from raftkv.apply.state import parse
from raftkv.errors import MalformedRequest
from raftkv.rpc.errors import Code, status_of
from raftkv.wire.service import Service, Status, Stream, UnaryCall

UNKNOWN_SERVICE = Status(int(Code.NOT_FOUND), "unknown service")
THE_SERVER = ""


class ServingStatus(IntEnum):
    """HealthCheckResponse.ServingStatus."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


class Health:
    """The server's state of health. It starts as not serving."""

    def __init__(self) -> None:
        self._serving = False
        self._watchers: set[asyncio.Event] = set()

    def set_serving(self, serving: bool) -> None:
        self._serving = serving
        for changed in self._watchers:
            changed.set()

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    def service(self) -> Service:
        return Service(
            "grpc.health.v1.Health",
            status_of,
            unary={"Check": self._check},
            streams={"Watch": self._watch},
        )

    def _check(self, payload: bytes, call: UnaryCall) -> None:
        status = self._status(_service_name(payload))
        if status is ServingStatus.SERVICE_UNKNOWN:
            call.fail(UNKNOWN_SERVICE)
        else:
            call.reply(encode_status(status))

    async def _watch(self, stream: Stream) -> None:
        """One message at once, and one per change until the client goes."""
        name = await _first_service_name(stream)
        changed = asyncio.Event()
        self._watchers.add(changed)
        told: ServingStatus | None = None
        try:
            while True:
                status = self._status(name)
                if status is not told:
                    stream.send(encode_status(status))
                    told = status
                    await stream.drain()
                await changed.wait()
                changed.clear()
        finally:
            self._watchers.discard(changed)

    def _status(self, name: str) -> ServingStatus:
        if name != THE_SERVER:
            return ServingStatus.SERVICE_UNKNOWN
        return ServingStatus.SERVING if self._serving else ServingStatus.NOT_SERVING


def encode_status(status: ServingStatus) -> bytes:
    """A HealthCheckResponse: ``status`` is its only field, number 1."""
    return bytes((0x08, status)) if status else b""


async def _first_service_name(stream: Stream) -> str:
    async for payload in stream:
        return _service_name(payload)
    raise MalformedRequest("the call ended without a request")


def _service_name(payload: bytes) -> str:
    request: Any = parse(_REQUEST_CLASS, payload)
    return str(request.service)


def health_file() -> descriptor_pb2.FileDescriptorProto:
    """grpc/health/v1/health.proto."""
    field = descriptor_pb2.FieldDescriptorProto
    package = "grpc.health.v1"
    file = descriptor_pb2.FileDescriptorProto(
        name="grpc/health/v1/health.proto", package=package, syntax="proto3"
    )
    request = file.message_type.add(name="HealthCheckRequest")
    request.field.add(name="service", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    response = file.message_type.add(name="HealthCheckResponse")
    statuses = response.enum_type.add(name="ServingStatus")
    for status in ServingStatus:
        statuses.value.add(name=status.name, number=status)
    status_type = f".{package}.HealthCheckResponse.ServingStatus"
    response.field.add(
        name="status",
        number=1,
        type=field.TYPE_ENUM,
        label=field.LABEL_OPTIONAL,
        type_name=status_type,
    )
    service = file.service.add(name="Health")
    asked, answered = f".{package}.HealthCheckRequest", f".{package}.HealthCheckResponse"
    service.method.add(name="Check", input_type=asked, output_type=answered)
    service.method.add(name="Watch", input_type=asked, output_type=answered, server_streaming=True)
    return file


def _request_class() -> Any:
    """HealthCheckRequest, in a pool of its own: the default one would refuse the same message of
    grpcio's health package in a process that loads both."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(health_file())
    found = pool.FindMessageTypeByName("grpc.health.v1.HealthCheckRequest")
    return message_factory.GetMessageClass(found)


_REQUEST_CLASS = _request_class()
