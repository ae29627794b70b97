"""The DNS server: UDP and TCP on loopback, answering from a copy of the cluster's services.

Owns: its sockets, and when the zone is made anew. Must never do: make it for each query.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import Any, cast

from apiserver_shim.components.api_client import ApiClient, Object
from apiserver_shim.components.dns.answers import answer
from apiserver_shim.components.dns.records import DOMAIN, Zone, records_of
from apiserver_shim.components.informer import Informer
from apiserver_shim.components.kinds import ENDPOINT_SLICES, SERVICES

log = logging.getLogger("apiserver_shim.dns")

CONNECTIONS_MAX = 256
IDLE_S = 10.0


class DnsServer:
    """``run`` until cancelled."""

    def __init__(self, client: ApiClient, address: str, port: int, domain: str = DOMAIN) -> None:
        self._address, self._port, self._domain = address, port, domain
        self._services = Informer(client, SERVICES)
        self._slices = Informer(client, ENDPOINT_SLICES)
        for informer in (self._services, self._slices):
            informer.listen(self._changed)
        self._zone: Zone | None = None
        self._connections = 0

    def zone(self) -> Zone:
        """Made when it is first asked for after a change."""
        if self._zone is None:
            records = records_of(self._services, self._slices, self._domain)
            self._zone = Zone(records, self._domain)
        return self._zone

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for informer in (self._services, self._slices):
                tasks.create_task(informer.run())
            await self._services.synced.wait()
            await self._slices.synced.wait()
            loop = asyncio.get_running_loop()
            datagrams, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(self._address, self._port)
            )
            streams = await asyncio.start_server(self._serve, self._address, self._port)
            log.info("answering for %s on %s:%d", self._domain, self._address, self._port)
            try:
                await streams.serve_forever()
            finally:
                datagrams.close()

    def _changed(self, old: Object | None, new: Object | None) -> None:
        self._zone = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Any number of queries, each after its length in two bytes (RFC 1035, 4.2.2)."""
        self._connections += 1
        try:
            while self._connections <= CONNECTIONS_MAX:
                async with asyncio.timeout(IDLE_S):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    query = await reader.readexactly(length)
                found = answer(query, self.zone(), stream=True)
                if found is None:
                    return
                writer.write(struct.pack("!H", len(found)) + found)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client has gone, or has nothing more to ask
        finally:
            self._connections -= 1
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        found = answer(data, self._server.zone(), stream=False)
        if found is not None and self._transport is not None:
            self._transport.sendto(found, addr)
