"""The transport as a whole: links that are watched, cut and healed, between real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence

import pytest

from raftkv.peer.listener import Identity
from raftkv.peer.sockets import PeerSockets
from raftkv.peer.transport import PeerTransport
from raftkv.raft.message import Message, MessageType
from raftkv.server.asyncio_runtime import AsyncioScheduler
from raftkv.tls.credentials import Credentials
from raftkv.tls.settings import NO_PEER_TLS
from tests.wire.waiting import until


class End:
    """Member ``number`` of two: its transport, and what came."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.came: list[Message] = []
        self.unreachable: list[int] = []
        self.links: list[tuple[int, bool]] = []
        self.tapped: list[tuple[MessageType, bool]] = []
        self.transport = PeerTransport(
            identity=Identity(1, number),
            sockets=PeerSockets(Credentials(NO_PEER_TLS)),
            scheduler=AsyncioScheduler(asyncio.get_running_loop()),
            snapshot_worker=None,  # type: ignore[arg-type]
            queue_bytes_max=1 << 20,
            frame_bytes_max=1 << 20,
            deliver=self.came.extend,
            unreachable=self.unreachable.append,
            open_snapshot=None,  # type: ignore[arg-type]
            has_removed=lambda peer: False,
            told_removed=lambda: None,
            respond=lambda method, path, reply: None,
        )
        self.transport.link_changed = lambda peer, is_open: self.links.append((peer, is_open))

    def tap(self, messages: Sequence[Message], lost: Collection[int]) -> None:
        self.tapped += [(message.type, message.to in lost) for message in messages]

    def beat(self, to: int) -> None:
        self.transport.send([Message(MessageType.HEARTBEAT, to=to, sender=self.number, term=1)])

    @property
    def url(self) -> str:
        host, port = self.transport._servers[0].sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"


@pytest.fixture
async def ends() -> AsyncIterator[tuple[End, End]]:
    a, b = End(1), End(2)
    for end in (a, b):
        await end.transport.listen(["http://127.0.0.1:0"])
    a.transport.set_peers({2: [b.url]})
    b.transport.set_peers({1: [a.url]})
    await until(lambda: a.links == [(2, True)] and b.links == [(1, True)])
    yield a, b
    for end in (a, b):
        await end.transport.close()


async def test_a_cut_link_carries_nothing_until_it_is_healed(ends: tuple[End, End]) -> None:
    """Both ways, though one end alone was told; Raft hears that its peer is out of reach."""
    a, b = ends
    a.beat(2)
    await until(lambda: b.came)
    a.transport.cut({2})
    assert a.links[-1] == (2, False)
    assert a.transport.cut_peers == {2}
    assert a.transport.statistics() == []
    a.beat(2)
    assert a.unreachable == [2]
    await until(lambda: b.links[-1] == (1, False))
    a.transport.set_peers({2: [b.url]})  # a change of members does not heal it
    assert a.transport.statistics() == []
    seen = len(b.links)
    b.beat(1)
    assert b.unreachable == [1]
    a.transport.cut(())
    await until(lambda: a.links[-1] == (2, True) and b.links[-1] == (1, True))
    assert len(b.links) > seen
    a.beat(2)
    b.beat(1)
    await until(lambda: len(b.came) == 2 and len(a.came) == 1)


async def test_a_tap_sees_what_leaves_and_what_is_lost(ends: tuple[End, End]) -> None:
    """As long as it is there, and no longer."""
    a, _ = ends
    a.beat(2)
    a.transport.tap = a.tap
    a.beat(2)
    a.beat(3)
    a.transport.tap = None
    a.beat(2)
    assert a.tapped == [(MessageType.HEARTBEAT, False), (MessageType.HEARTBEAT, True)]
