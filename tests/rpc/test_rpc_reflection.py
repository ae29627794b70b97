"""Server reflection, by grpcio's client of it: everything served can be described and called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from fake_member import FakeMember
from fake_stream import FakeStream, serve
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from raftkv.api.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from raftkv.mvcc.watch_hub import WatchHub
from raftkv.rpc.health import Health
from raftkv.rpc.services import services_of
from raftkv.wire.listener import Listener, listen
from raftkv.wire.service import Service

OWN = {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}


@pytest.fixture
def services(member: FakeMember) -> tuple[Service, ...]:
    member.hub = WatchHub(member.store)  # type: ignore[attr-defined]
    health = Health()
    health.set_serving(True)
    return services_of(member, health)  # type: ignore[arg-type]


@pytest.fixture
async def listener(services: tuple[Service, ...]) -> AsyncIterator[Listener]:
    listener = await listen(services, None, ("127.0.0.1", 0))
    yield listener
    await listener.close(0)


async def test_a_client_that_knows_nothing(
    listener: Listener, services: tuple[Service, ...]
) -> None:
    """It lists the services, finds every method's messages, and calls two with them."""

    def explore() -> tuple[list[str], int, str]:
        with grpc.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            pool = DescriptorPool(database)
            names = list(database.get_services())
            for service in services:
                found = pool.FindServiceByName(service.name)
                assert set(found.methods_by_name) >= {*service.unary, *service.streams}
            kv = pool.FindServiceByName("etcdserverpb.KV").methods_by_name["Range"]
            request = GetMessageClass(kv.input_type)(key=b"k")
            call = channel.unary_unary("/etcdserverpb.KV/Range")
            answer = GetMessageClass(kv.output_type).FromString(call(request.SerializeToString()))
            check = pool.FindServiceByName("grpc.health.v1.Health").methods_by_name["Check"]
            status = channel.unary_unary("/grpc.health.v1.Health/Check")(b"")
            health = GetMessageClass(check.output_type).FromString(status)
            field = health.DESCRIPTOR.fields_by_name["status"]
            name = field.enum_type.values_by_number[health.status].name
            return names, answer.header.revision, name

    names, revision, status = await asyncio.to_thread(explore)
    assert set(names) == {service.name for service in services}
    assert set(names) > OWN
    assert (revision, status) == (1, "SERVING")


@pytest.mark.parametrize("service", sorted(OWN))
@pytest.mark.parametrize(
    ("question", "files"),
    [
        ({"file_containing_symbol": "etcdserverpb.KV.Put"}, 3),
        ({"file_containing_symbol": "etcdserverpb.RangeRequest.SortOrder"}, 3),
        ({"file_containing_symbol": "mvccpb.KeyValue.lease"}, 1),
        ({"file_by_filename": "raftkv/api/kv.proto"}, 1),
        ({"file_containing_symbol": "etcdserverpb.Nothing"}, 0),
        ({"file_by_filename": "/etc/passwd"}, 0),
        ({"all_extension_numbers_of_type": "etcdserverpb.Nothing"}, 0),
        ({"file_containing_extension": {"containing_type": "a", "extension_number": 1}}, 0),
        ({}, 0),
    ],
)
async def test_questions(
    services: tuple[Service, ...], service: str, question: dict[str, object], files: int
) -> None:
    """A file comes with what it imports; what is unknown is said to be, and the stream goes on."""
    found = next(each for each in services if each.name == service)
    request = ServerReflectionRequest(host="h", **question)  # type: ignore[arg-type]
    listing = ServerReflectionRequest(list_services="*")
    stream = FakeStream([request, listing])
    assert (await serve(found, "ServerReflectionInfo", stream)).code == 0
    first, second = [ServerReflectionResponse.FromString(each) for each in stream.sent]
    assert first.original_request == request
    assert len(first.file_descriptor_response.file_descriptor_proto) == files
    assert (first.error_response.error_code == 5) == (files == 0)
    assert len(second.list_services_response.service) == len(services)


async def test_a_type_without_extensions(services: tuple[Service, ...]) -> None:
    """Which is every type: proto3 has none."""
    request = ServerReflectionRequest(all_extension_numbers_of_type="mvccpb.KeyValue")
    stream = FakeStream([request])
    await serve(services[-1], "ServerReflectionInfo", stream)
    answer = ServerReflectionResponse.FromString(stream.sent[0])
    assert answer.all_extension_numbers_response.base_type_name == "mvccpb.KeyValue"
