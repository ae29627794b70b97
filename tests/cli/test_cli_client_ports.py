"""What each client URL serves, by the flags, on real sockets."""

from __future__ import annotations

import urllib.error
import urllib.request
from asyncio import to_thread
from collections.abc import Sequence
from dataclasses import replace

import grpc
import pytest

from raftkv.cli.client_ports import ClientPort, client_ports
from raftkv.gateway.health_source import Trouble
from raftkv.gateway.http import HttpGateway
from raftkv.gateway.json_api import JsonApi
from raftkv.rpc.errors import status_of
from raftkv.server.config import Address, ServerConfig
from raftkv.wire.listener import Listener, listen
from raftkv.wire.service import Service, UnaryCall

HERE = Address("127.0.0.1", 0)


class Healthy:
    """A ``HealthSource`` with nothing to tell."""

    async def alarms(self) -> Sequence[str]:
        return ()

    def has_leader(self) -> bool:
        return True

    async def check_read(self, *, serializable: bool) -> Trouble | None:
        return None

    def is_committing(self) -> bool:
        return False

    def disk_stall_s(self) -> float:
        return 0.0

    def cluster_version(self) -> str | None:
        return "3.7.0"

    def is_learner(self) -> bool:
        return False


def echo(payload: bytes, call: UnaryCall) -> None:
    call.reply(payload)


def ports(**settings: object) -> list[ClientPort]:
    config = replace(ServerConfig(listen_client=(HERE,)), **settings)  # type: ignore[arg-type]
    services = [Service("etcdserverpb.KV", status_of, unary={"Range": echo})]
    json_api = JsonApi(services) if config.grpc_gateway else None
    gateway = HttpGateway(Healthy(), lambda: b"metrics", json_api)
    return client_ports(config, services, gateway, json_api)


async def opened(port: ClientPort) -> Listener:
    address = (port.address.host, port.address.port)
    return await listen(port.services, port.http, address, http_streams=port.http_streams)


async def status(listener: Listener, path: str, body: bytes | None = None) -> int:
    """HTTP's answer to a GET, or to a POST of ``body``."""

    def ask() -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{listener.port}{path}", body)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return int(response.status)
        except urllib.error.HTTPError as e:
            return e.code

    return await to_thread(ask)


async def serves_grpc(listener: Listener) -> bool:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
        try:
            return await channel.unary_unary("/etcdserverpb.KV/Range")(b"", timeout=10) == b""
        except grpc.aio.AioRpcError as e:
            if e.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            return False


async def test_one_port_for_all() -> None:
    """By default gRPC and HTTP share it."""
    (port,) = ports()
    listener = await opened(port)
    assert await serves_grpc(listener)
    assert await status(listener, "/version") == 200
    assert await status(listener, "/v3/kv/range", b"{}") == 200
    assert await status(listener, "/v3/watch", b"{}") == 501  # the service is not there
    await listener.close(0)


async def test_http_on_ports_of_its_own() -> None:
    """It leaves the ports of gRPC then, and brings no gRPC along."""
    first, second = [await opened(port) for port in ports(listen_client_http=(HERE,))]
    assert (await serves_grpc(first), await serves_grpc(second)) == (True, False)
    for path, body in (("/version", None), ("/v3/kv/range", b"{}")):
        assert await status(first, path, body) == 404
        assert await status(second, path, body) == 200
    await first.close(0)
    await second.close(0)


@pytest.mark.parametrize("path", ["/v3/kv/range", "/v3/watch", "/v3beta/watch"])
async def test_without_a_gateway(path: str) -> None:
    """Nothing is under /v3/; the rest of HTTP stays."""
    (port,) = ports(grpc_gateway=False)
    listener = await opened(port)
    assert await status(listener, path, b"{}") == 404
    assert await status(listener, "/health") == 200
    await listener.close(0)
