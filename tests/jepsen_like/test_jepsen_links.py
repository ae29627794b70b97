"""Links and their proxies, on real sockets: what a cut holds back, and what it lets through."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from jepsen_like.cluster.link_proxy import Address, LinkProxy
from jepsen_like.cluster.links import Links
from jepsen_like.cluster.ports import reserve_ports
from jepsen_like.cluster.socket_owner import inode_of, owner

DEADLINE_S = 10.0


class Way:
    """A connection of "a" to "b" through b's proxy; both ends are in this process."""

    def __init__(self, links: Links, proxy: LinkProxy) -> None:
        self.links = links
        self.proxy = proxy
        self._accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._accepted.put((reader, writer))

    async def dial(self) -> None:
        self.a_reader, self.a_writer = await asyncio.open_connection(
            self.proxy.listen.host, self.proxy.listen.port
        )

    async def answered(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            self.b_reader, self.b_writer = await self._accepted.get()

    async def a_to_b(self, text: bytes) -> None:
        self.a_writer.write(text)
        async with asyncio.timeout(DEADLINE_S):
            assert await self.b_reader.readexactly(len(text)) == text

    async def b_to_a(self, text: bytes) -> None:
        self.b_writer.write(text)
        async with asyncio.timeout(DEADLINE_S):
            assert await self.a_reader.readexactly(len(text)) == text

    def close(self) -> None:
        for end in ("a_writer", "b_writer"):
            if hasattr(self, end):
                getattr(self, end).transport.abort()


@asynccontextmanager
async def way(*, caller: str | None = "a") -> AsyncIterator[Way]:
    links = Links(["a", "b", "c"])
    listen, forward = (Address(port) for port in reserve_ports(2))
    proxy = LinkProxy("b", listen, forward, links, lambda local, remote: caller)
    made = Way(links, proxy)
    server = await asyncio.start_server(made.accept, forward.host, forward.port)
    await proxy.start()
    try:
        yield made
    finally:
        made.close()
        server.close()
        await proxy.close()


@asynccontextmanager
async def connected_way() -> AsyncIterator[Way]:
    async with way() as made:
        await made.dial()
        await made.answered()
        await made.a_to_b(b"hello")
        yield made


async def _turns(number: int = 200) -> None:
    """Enough turns of the loop for loopback bytes to arrive, if anything let them."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_bytes_pass_both_ways_and_so_does_the_end() -> None:
    """An open link is transparent, up to the close."""
    async with connected_way() as made:
        await made.b_to_a(b"welcome" * 50_000)
        made.a_writer.close()
        async with asyncio.timeout(DEADLINE_S):
            assert await made.b_reader.read() == b""


async def test_a_cut_holds_one_direction_until_it_ends() -> None:
    """One way: the other direction flows on; what was held arrives whole after healing."""
    async with connected_way() as made:
        cut = made.links.cut([("a", "b")])
        held = asyncio.create_task(made.a_to_b(b"late"))
        await made.b_to_a(b"still here")
        await _turns()
        assert not held.done()
        assert made.links.cut_pairs == {("a", "b")}
        made.links.end(cut)
        await held


async def test_the_end_of_a_stream_is_held_too() -> None:
    """Behind a cut nobody learns that the other side died."""
    async with connected_way() as made:
        cut = made.links.cut([("a", "b")])
        made.a_writer.transport.abort()
        ended = asyncio.create_task(made.b_reader.read())
        await _turns()
        assert not ended.done()
        made.links.end(cut)
        async with asyncio.timeout(DEADLINE_S):
            assert await ended == b""


async def test_no_connection_comes_about_over_a_cut() -> None:
    """A connection that is dialled meanwhile reaches the member only after healing."""
    async with way() as made:
        cut = made.links.cut([("a", "b")])
        await made.dial()
        reached = asyncio.create_task(made.answered())
        await _turns()
        assert not reached.done()
        made.links.end(cut)
        await reached
        await made.a_to_b(b"hello")


async def test_overlapping_cuts_end_one_by_one() -> None:
    """A link is open when the last cut over it ended, and slow as the slowest trouble."""
    links = Links(["a", "b", "c"])
    first = links.cut([("a", "b"), ("b", "a")])
    second = links.cut([("a", "b")])
    slow = links.slow([("a", "c")], 0.1)
    links.slow([("a", "c")], 0.3)
    links.end(first)
    assert links.cut_pairs == {("a", "b")}
    links.end(second)
    assert not links.cut_pairs
    assert links.link("a", "c").delay_s == 0.3
    links.end(slow)
    assert links.link("a", "c").delay_s == 0.3
    with pytest.raises(ValueError, match="no such links"):
        links.cut([("a", "z")])


async def test_a_reset_ends_the_connections_of_the_pair_only() -> None:
    """Resetting b-c leaves a-b alone; resetting b-a ends it."""
    async with connected_way() as made:
        assert made.proxy.reset(frozenset({("b", "c")})) == 0
        await made.a_to_b(b"alive")
        assert made.proxy.reset(frozenset({("b", "a")})) == 2
        async with asyncio.timeout(DEADLINE_S):
            assert await made.b_reader.read() == b""


async def test_a_stranger_gets_nowhere() -> None:
    """A connection of no member is closed: nobody knows which link it would use."""
    async with way(caller=None) as made:
        await made.dial()
        async with asyncio.timeout(DEADLINE_S):
            assert await made.a_reader.read() == b""
        assert made.proxy.strangers == 1


async def test_the_owner_of_a_socket_is_the_process_that_holds_it() -> None:
    """/proc leads from a port pair to this process, and to nobody for a pair that is not there."""
    (port,) = reserve_ports(1)
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", port)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    local = writer.get_extra_info("sockname")
    assert owner(local, ("127.0.0.1", port), {"parent": os.getppid(), "me": os.getpid()}) == "me"
    assert owner(local, ("127.0.0.1", port), {"parent": os.getppid()}) is None
    assert owner(local, ("127.0.0.1", 1), {"me": os.getpid()}) is None
    writer.transport.abort()
    server.close()


def test_an_inode_of_zero_is_none() -> None:
    """The kernel shows inode 0 for a socket that no process holds any more."""
    row = "  0: 0100007F:{:04X} 0100007F:0016 06 0:0 0:0 0 0 0 {} 1"
    table = "\n".join(["sl local", row.format(9000, 0), row.format(9001, 77)])
    assert inode_of(("127.0.0.1", 9000), ("127.0.0.1", 22), table) is None
    assert inode_of(("127.0.0.1", 9001), ("127.0.0.1", 22), table) == 77
