"""A TCP proxy that can lose a connection at the worst moment.

Owns: CuttingProxy: forward, refuse, or swallow the answers and cut.
"""

from __future__ import annotations

import asyncio
import contextlib


class CuttingProxy:
    """``swallow`` lets requests through and no answer back; ``cut`` ends all connections."""

    def __init__(self, target: str) -> None:
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.swallow = False
        self.sent_bytes = 0

    async def __aenter__(self) -> CuttingProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.endpoint = f"127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Refuse new connections and end the old ones."""
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, there_writer}
        await asyncio.gather(
            self._pump(reader, there_writer, answers=False),
            self._pump(there_reader, writer, answers=True),
        )
        self._writers -= {writer, there_writer}

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                if answers and self.swallow:
                    continue
                if not answers:
                    self.sent_bytes += len(data)
                writer.write(data)
                await writer.drain()
        writer.close()
