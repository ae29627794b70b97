"""The way to one member: a TCP proxy whose address is the one that the member advertises.

Owns: LinkProxy: accepting, finding out who called, passing bytes on as the links allow. Must never
do: change, reorder, drop or repeat a byte of a connection that lives: TCP does not either.

Why so. A member's id is a hash of its advertised URL, so all members must be told the same URL of a
member: one proxy per target, and the source is found per connection, by the process that holds its
socket (``socket_owner``). Network namespaces would need root and a set of tools; the loopback
addresses that members dial from cannot be chosen by etcd's flags; this works for any program.

A cut holds bytes back and delivers them when it ends, as TCP's retransmission does for packets that
a partition swallowed. Direction is that of the bytes, not of the dialling: etcd's followers dial
the stream on which the leader then sends. A closed end is news too, and is held back as bytes are.
A slow link waits before each piece; pieces that arrive meanwhile leave together, so the delay is
between once and twice ``delay_s``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from jepsen_like.cluster.links import Link, Links, Pair
from jepsen_like.cluster.socket_owner import Endpoint

PIECE_BYTES = 64 * 1024

WhoCalls = Callable[[Endpoint, Endpoint], str | None]
"""The member that holds the socket from the first address to the second."""

log = logging.getLogger("jepsen_like.cluster")


@dataclass(frozen=True, slots=True)
class Address:
    port: int
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


class LinkProxy:
    """Passes what comes to ``listen`` on to ``forward``, the address where ``target`` listens."""

    def __init__(
        self, target: str, listen: Address, forward: Address, links: Links, who_calls: WhoCalls
    ) -> None:
        self.target = target
        self.listen = listen
        self.strangers = 0
        self._forward = forward
        self._links = links
        self._who_calls = who_calls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._sources: dict[asyncio.WriteTransport, str] = {}

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.listen.host, self.listen.port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset(self, pairs: frozenset[Pair]) -> int:
        """End the connections that use one of the links in either direction; their number."""
        doomed = [
            transport
            for transport, source in self._sources.items()
            if {(source, self.target), (self.target, source)} & pairs
        ]
        for transport in doomed:
            transport.abort()
        return len(doomed)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except OSError as e:
            log.debug("a connection to %s ended: %s", self.target, e)
        except asyncio.CancelledError:
            pass  # only ``close`` cancels; the server's own callback would report it as an error
        finally:
            self._sources.pop(writer.transport, None)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller: Endpoint = writer.get_extra_info("peername")
        here: Endpoint = writer.get_extra_info("sockname")
        source = self._who_calls(caller, here)
        if source is None or source == self.target:
            self.strangers += 1
            return
        self._sources[writer.transport] = source
        there = self._links.link(source, self.target)
        back = self._links.link(self.target, source)
        await there.opened()
        target_reader, target_writer = await asyncio.open_connection(
            self._forward.host, self._forward.port
        )
        self._sources[target_writer.transport] = source
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_pass_on(reader, target_writer, there))
                ways.create_task(_pass_on(target_reader, writer, back))
        except* OSError as e:
            log.debug("the connection %s to %s broke: %s", source, self.target, e.exceptions[0])
        finally:
            self._sources.pop(target_writer.transport, None)
            target_writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link) -> None:
    """Until the end of the stream or its reset, which are passed on too, but not over a cut."""
    try:
        while piece := await reader.read(PIECE_BYTES):
            if link.delay_s:
                await asyncio.sleep(link.delay_s)
            await link.opened()
            if writer.transport.is_closing():
                return  # that end is gone, and its own way back tells this one so
            writer.write(piece)
            await writer.drain()
    except OSError:
        await link.opened()
        raise
    await link.opened()
    if writer.can_write_eof():
        writer.write_eof()
