"""A UDP port of a service: a client's datagrams go to one backend for as long as it keeps talking.

Owns: the listening socket and a socket per client. Must never do: keep clients that are silent.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

from apiserver_shim.components.proxy.backends import RoundRobin

CLIENTS_MAX = 1024
IDLE_S = 30.0
EARLY_MAX = 16
"""Datagrams that wait for their client's socket."""

Address = tuple[str, int]


class UdpForwarder(asyncio.DatagramProtocol):
    def __init__(self, backends: RoundRobin) -> None:
        self.backends = backends
        self._listener: asyncio.DatagramTransport | None = None
        self._clients: OrderedDict[Address, _Client] = OrderedDict()

    async def listen(self, address: str, port: int) -> None:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        self._listener, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(address, port)
        )

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for client in list(self._clients.values()):
            client.close()

    def datagram_received(self, data: bytes, addr: Address | Any) -> None:
        client = self._clients.get(addr)
        if client is None:
            choices = self.backends.choices(addr[0])
            if not choices:
                return  # as to a port where nobody listens
            self.backends.used(addr[0], choices[0])
            client = _Client(self, addr, (choices[0].address, choices[0].port))
            self._clients[addr] = client
            if len(self._clients) > CLIENTS_MAX:
                next(iter(self._clients.values())).close()
        self._clients.move_to_end(addr)
        client.send(data)

    def answer(self, data: bytes, client: Address) -> None:
        if self._listener is not None and not self._listener.is_closing():
            self._listener.sendto(data, client)

    def forget(self, client: Address) -> None:
        self._clients.pop(client, None)


class _Client(asyncio.DatagramProtocol):
    """One client's way to its backend."""

    def __init__(self, forwarder: UdpForwarder, address: Address, backend: Address) -> None:
        self._forwarder = forwarder
        self._address = address
        self._transport: asyncio.DatagramTransport | None = None
        self._early: list[bytes] = []
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._used = loop.time()
        self._timer = loop.call_later(IDLE_S, self._look)
        self._opening = loop.create_task(self._open(backend))

    async def _open(self, backend: Address) -> None:
        try:
            self._transport, _ = await self._loop.create_datagram_endpoint(
                lambda: self, remote_addr=backend
            )
        except OSError:
            self.close()  # the client may try again, and gets the next one
            return
        for data in self._early:
            self._transport.sendto(data)
        self._early.clear()

    def send(self, data: bytes) -> None:
        self._used = self._loop.time()
        if self._transport is not None:
            self._transport.sendto(data)
        elif len(self._early) < EARLY_MAX:
            self._early.append(data)

    def datagram_received(self, data: bytes, addr: Address | Any) -> None:
        self._used = self._loop.time()
        self._forwarder.answer(data, self._address)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: the next datagram goes elsewhere."""
        self.close()

    def close(self) -> None:
        self._timer.cancel()
        self._opening.cancel()
        if self._transport is not None:
            self._transport.close()
        self._forwarder.forget(self._address)

    def _look(self) -> None:
        silent = self._loop.time() - self._used
        if silent >= IDLE_S:
            self.close()
        else:
            self._timer = self._loop.call_later(IDLE_S - silent, self._look)
