"""The proxy: whose turn it is, who is ready, and bytes through real sockets on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from apiserver_shim.components.proxy.backends import Backend, RoundRobin, backends_of
from apiserver_shim.components.proxy.proxy import listeners_of
from apiserver_shim.components.proxy.tcp_forwarder import TcpForwarder
from apiserver_shim.components.proxy.udp_forwarder import UdpForwarder
from tests.e2e.member_process import reserve_ports

A, B, C = (Backend(f"127.64.9.{n}", 80) for n in (1, 2, 3))
PORT = {"name": "http", "port": 80}


def test_backends_take_turns() -> None:
    """Round robin over all, and the others follow in order for when the first refuses."""
    turns = RoundRobin(lambda: 0.0)
    assert turns.choices("x") == []
    turns.set([C, A, B])
    firsts = [turns.choices("x")[0] for _ in range(6)]
    assert firsts == [A, B, C, A, B, C]
    assert turns.choices("x") == [A, B, C]
    assert turns.choices("x") == [B, C, A]
    turns.set([B])
    assert turns.choices("x") == [B]


def test_affinity_keeps_a_client_for_its_time() -> None:
    """ClientIP: the same backend for that many seconds, unless it is gone."""
    now = 0.0
    turns = RoundRobin(lambda: now)
    turns.set([A, B, C], affinity_s=10)
    first = turns.choices("1.2.3.4")[0]
    turns.used("1.2.3.4", first)
    assert {turns.choices("1.2.3.4")[0] for _ in range(5)} == {first}
    assert turns.choices("4.3.2.1")[0] != first
    now = 11.0
    assert {turns.choices("1.2.3.4")[0] for _ in range(3)} == {A, B, C}
    turns.used("1.2.3.4", A)
    turns.set([B, C], affinity_s=10)
    assert turns.choices("1.2.3.4")[0] in (B, C)


def test_only_ready_endpoints_of_the_port_count() -> None:
    """Slices: not what is not ready, not another port. Without slices: the Endpoints."""
    found = {
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "x", "port": 1}],
        "endpoints": [
            {"addresses": ["127.64.0.1"], "conditions": {"ready": True}},
            {"addresses": ["127.64.0.2"], "conditions": {"ready": False}},
            {"addresses": ["127.64.0.3"]},
        ],
    }
    wanted = [Backend("127.64.0.1", 8080), Backend("127.64.0.3", 8080)]
    assert backends_of([found], None, PORT) == wanted
    endpoints = {
        "subsets": [
            {
                "addresses": [{"ip": "127.64.0.4"}],
                "notReadyAddresses": [{"ip": "127.64.0.5"}],
                "ports": [{"name": "http", "port": 9090}],
            }
        ]
    }
    assert backends_of([], endpoints, PORT) == [Backend("127.64.0.4", 9090)]
    assert backends_of([found], endpoints, PORT) == wanted
    assert backends_of([], None, PORT) == []


def test_listeners_are_loopback_addresses_and_node_ports() -> None:
    """No socket for headless services, for addresses beyond loopback, or for ExternalName."""

    def of(**spec: Any) -> list[tuple[str, str, int]]:
        found = listeners_of({"spec": {"ports": [{"port": 80, "nodePort": 30000}], **spec}})
        return [(listener.protocol, listener.address, listener.port) for listener, _ in found]

    assert of(clusterIP="127.96.0.9") == [("TCP", "127.96.0.9", 80)]
    assert of(clusterIP="127.96.0.9", type="NodePort") == [
        ("TCP", "127.96.0.9", 80),
        ("TCP", "127.0.0.1", 30000),
    ]
    assert of(clusterIP="None") == []
    assert of(clusterIP="10.96.0.9") == []
    assert of(clusterIP="127.96.0.9", type="ExternalName") == []


async def test_tcp_is_forwarded_with_half_closes() -> None:
    """A client that has ended its side still gets the whole answer; a dead backend is passed by."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.close()

    dead, alive, ours = reserve_ports(3)
    server = await asyncio.start_server(shout, "127.0.0.1", alive)
    turns = RoundRobin(lambda: 0.0)
    turns.set([Backend("127.0.0.1", dead), Backend("127.0.0.1", alive)])
    forwarder = TcpForwarder(turns)
    await forwarder.listen("127.96.250.1", ours)
    for _ in range(2):
        reader, writer = await asyncio.open_connection("127.96.250.1", ours)
        writer.write(b"x" * 300_000)
        writer.write_eof()
        assert await reader.read() == b"X" * 300_000
        writer.close()
    turns.set([])
    reader, writer = await asyncio.open_connection("127.96.250.1", ours)
    with contextlib.suppress(ConnectionResetError):  # as by a port where nobody listens
        assert await reader.read() == b""
    writer.close()
    await forwarder.close()
    server.close()


async def test_udp_goes_to_one_backend_per_client() -> None:
    """Datagrams of one socket stay with one backend, whose answers come from the service."""

    class Echo(asyncio.DatagramProtocol):
        def __init__(self, name: bytes) -> None:
            self.name = name

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(self.name + data, addr)

    class Client(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.got: asyncio.Queue[bytes] = asyncio.Queue()

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.got.put_nowait(data)

    loop = asyncio.get_running_loop()
    first, second, ours = reserve_ports(3)
    echoes = [
        (await loop.create_datagram_endpoint(lambda n=n: Echo(n), ("127.0.0.1", port)))[0]
        for n, port in ((b"1", first), (b"2", second))
    ]
    turns = RoundRobin(lambda: 0.0)
    turns.set([Backend("127.0.0.1", first), Backend("127.0.0.1", second)])
    forwarder = UdpForwarder(turns)
    await forwarder.listen("127.96.250.1", ours)
    answers: set[bytes] = set()
    for _ in range(2):
        transport, client = await loop.create_datagram_endpoint(
            Client, remote_addr=("127.96.250.1", ours)
        )
        transport.sendto(b"a")
        transport.sendto(b"b")
        async with asyncio.timeout(10):
            got = {await client.got.get(), await client.got.get()}
        assert got in ({b"1a", b"1b"}, {b"2a", b"2b"})
        answers |= got
        transport.close()
    assert answers == {b"1a", b"1b", b"2a", b"2b"}
    await forwarder.close()
    for each in echoes:
        each.close()
