"""A TCP port of a service: each connection goes to one backend.

Owns: the listening socket and its connections. Must never do: break connections when backends
change: they go on until one side ends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from apiserver_shim.components.proxy.backends import RoundRobin

log = logging.getLogger("apiserver_shim.proxy")

CONNECTIONS_MAX = 4096
CONNECT_S_MAX = 2.0
CHUNK_BYTES = 64 * 1024


class TcpForwarder:
    def __init__(self, backends: RoundRobin) -> None:
        self.backends = backends
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, address: str, port: int) -> None:
        """Raises OSError."""
        self._server = await asyncio.start_server(self._serve, address, port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for each in self._connections:
            each.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= CONNECTIONS_MAX:
            log.warning("more than %d connections: one is refused", CONNECTIONS_MAX)
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            await self._forward(reader, writer)
        except asyncio.CancelledError:
            pass  # we are closed: a server's callback has nobody to tell
        finally:
            self._connections.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = writer.get_extra_info("peername")[0]
        found = await self._connect(client)
        if found is None:
            writer.transport.abort()  # what a refused connection looks like from here
            return
        far_reader, far_writer = found
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        except OSError:
            writer.transport.abort()  # one side has broken off: the other is told so
        finally:
            far_writer.close()

    async def _connect(
        self, client: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for backend in self.backends.choices(client):
            try:
                async with asyncio.timeout(CONNECT_S_MAX):
                    found = await asyncio.open_connection(backend.address, backend.port)
            except (OSError, TimeoutError) as e:
                log.info("%s:%d: %s", backend.address, backend.port, e or "no answer")
                continue
            self.backends.used(client, backend)
            return found
        return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the reader's end, which is passed on; the other way may go on."""
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    with contextlib.suppress(OSError):  # it has gone already
        writer.write_eof()
