"""Member-to-member messages over TCP or TLS: one outgoing link per peer, one listener for all.

Owns: who the peers are and where, batching per call, and the counters that metrics show.
Must never do: know Raft's rules. A message that cannot leave is dropped and its target reported
unreachable, which is what Raft expects of a network.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from raftkv.error_texts import error_of_text
from raftkv.errors import NoLeader, RaftKVError, RequestTimeout
from raftkv.peer.codec import encode_message
from raftkv.peer.finding import Finding
from raftkv.peer.framing import Greeting, Purpose, encode_frame
from raftkv.peer.http import HttpAnswer, Respond, ask
from raftkv.peer.link import PeerLink
from raftkv.peer.listener import FrameSink, Identity, MessageSink, PeerProtocol
from raftkv.peer.offer import HEADER as OFFER
from raftkv.peer.offer import Offer
from raftkv.peer.probe import probe_all
from raftkv.peer.snapshot_stream import SnapshotFile, SnapshotSink, send_snapshot
from raftkv.peer.sockets import PeerSockets
from raftkv.raft.message import Message
from raftkv.scheduler import Scheduler, Worker
from raftkv.tls.handshake import TlsServer
from raftkv.tls.rate import Ration

FRAME_OVERHEAD_MAX = 64 * 1024
COMPLAINTS_BURST = 10
COMPLAINTS_PER_SECOND = 1.0


@dataclass(frozen=True, slots=True)
class PeerStatistics:
    """Since this member started. ``round_trip_s`` is the kernel's, None while there is no link."""

    peer: int
    is_open: bool
    bytes_sent: int
    bytes_received: int
    sent_failures: int
    disconnects: int
    round_trip_s: float | None


Tap = Callable[[Sequence[Message], Collection[int]], None]
"""Gets messages as they leave, and to whom they could not."""


class PeerTransport:
    """``deliver`` gets the messages of one read together; ``unreachable`` a peer's id."""

    def __init__(
        self,
        *,
        identity: Identity,
        sockets: PeerSockets,
        scheduler: Scheduler,
        snapshot_worker: Worker,
        queue_bytes_max: int,
        frame_bytes_max: int,
        deliver: Callable[[list[Message]], None],
        unreachable: Callable[[int], None],
        open_snapshot: Callable[[], SnapshotFile],
        has_removed: Callable[[int], bool],
        told_removed: Callable[[], None],
        respond: Respond,
    ) -> None:
        self._identity = identity
        self._sockets = sockets
        self._scheduler = scheduler
        self._snapshot_worker = snapshot_worker
        self._queue_bytes_max = queue_bytes_max
        self._frame_bytes_max = frame_bytes_max + FRAME_OVERHEAD_MAX
        self._deliver = deliver
        self._unreachable = unreachable
        self._open_snapshot = open_snapshot
        self._has_removed = has_removed
        self._told_removed = told_removed
        self._respond = respond
        self._links: dict[int, PeerLink] = {}
        self._urls_of: dict[int, Sequence[str]] = {}
        self._cut: frozenset[int] = frozenset()
        self.tap: Tap | None = None
        """Set while somebody looks at the messages."""
        self.link_changed: Callable[[int, bool], None] = lambda peer, is_open: None
        self.snapshot_begun: Callable[[int], None] = lambda peer: None
        self._servers: list[asyncio.Server | TlsServer] = []
        self._complaints = Ration(COMPLAINTS_BURST, COMPLAINTS_PER_SECOND, scheduler.now)
        self._accepted: set[PeerProtocol] = set()
        self._sent_failures: Counter[int] = Counter()
        self._received: Counter[int] = Counter()
        self._probes: set[asyncio.Task[list[Finding]]] = set()
        self._streams: set[asyncio.Task[None] | asyncio.Task[HttpAnswer | None]] = set()
        sockets.tls.changed = self._renew_links

    async def listen(self, urls: Sequence[str], *, reuse_port: bool = False) -> None:
        """Accept peers at every URL. Raises OSError when one cannot be bound."""
        for url in urls:
            server = await self._sockets.listen(url, self._accept, reuse_port=reuse_port)
            self._servers.append(server)

    def set_peers(self, urls_of: Mapping[int, Sequence[str]]) -> None:
        """Link to exactly these members (never to oneself), at these peer URLs."""
        self._urls_of = dict(urls_of)
        urls_of = {peer: urls for peer, urls in urls_of.items() if peer not in self._cut}
        for peer in [p for p in self._links if p not in urls_of]:
            self._links.pop(peer).close()
        for peer, urls in urls_of.items():
            link = self._links.get(peer)
            if peer == self._identity.member_id or (link and link.urls == tuple(urls)):
                continue
            if link is not None:
                link.close()
            self._links[peer] = self._link_to(peer, urls)
        for protocol in list(self._accepted):
            if protocol.transport is not None and self._has_removed(protocol.sender):
                protocol.transport.abort()  # it dials again, and is told

    def cut(self, peers: Collection[int]) -> None:
        """Neither call these members nor hear them, until told otherwise: for those who try out
        what a cluster does then (`raftkv local`)."""
        self._cut = frozenset(peers)
        for peer in self._cut.intersection(self._links):
            if self._links[peer].is_open:
                self.link_changed(peer, False)
        self.set_peers(self._urls_of)
        for protocol in list(self._accepted):
            if protocol.transport is not None and protocol.sender in self._cut:
                protocol.transport.abort()

    @property
    def cut_peers(self) -> frozenset[int]:
        return self._cut

    def send(self, messages: Sequence[Message]) -> None:
        """One write per peer for all of ``messages``; order per peer is kept."""
        lost: list[int] = []
        frames: dict[int, list[bytes]] = {}
        for message in messages:
            frames.setdefault(message.to, []).append(encode_frame(encode_message(message)))
        for peer, parts in frames.items():
            link = self._links.get(peer)
            if link is None or not link.send(b"".join(parts)):
                self._sent_failures[peer] += len(parts)
                lost.append(peer)
                self._unreachable(peer)
        if self.tap is not None:
            self.tap(messages, lost)

    def send_snapshot(
        self, message: Message, path: str, done: Callable[[BaseException | None], None]
    ) -> None:
        """Stream the file at ``path`` with ``message``; ``done`` when the peer has it durably."""
        link = self._links.get(message.to)
        if link is None:
            done(ConnectionError(f"no link to peer {message.to:x}"))
            return
        self.snapshot_begun(message.to)
        if self.tap is not None:
            self.tap((message,), ())
        greeting = self._greeting(message.to, Purpose.SNAPSHOT)
        work = send_snapshot(self._sockets, link.urls[0], greeting, message, path)
        task = asyncio.get_running_loop().create_task(work)
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)
        task.add_done_callback(
            lambda t: done(asyncio.CancelledError() if t.cancelled() else t.exception())
        )

    def probe(self, urls: Sequence[str], done: Callable[[Sequence[Finding]], None]) -> None:
        """What answers at each of ``urls``, in the time that ``peer.probe`` gives."""
        task = asyncio.get_running_loop().create_task(probe_all(self._sockets, urls))
        self._probes.add(task)
        task.add_done_callback(self._probes.discard)
        task.add_done_callback(lambda t: None if t.cancelled() else done(t.result()))

    def ask_promotion(
        self, leader: int, learner: int, done: Callable[[RaftKVError | None], None]
    ) -> None:
        """POST /members/promote/ID, as between etcd's members."""
        if leader not in self._links:
            done(NoLeader(f"there is no link to the leader {leader:x}"))
            return
        path = f"/members/promote/{learner}"
        self._ask(leader, "POST", path, lambda answer: done(_promoted(answer)))

    def ask_offer(self, peer: int, done: Callable[[Offer | None], None]) -> None:
        """By a header of GET /members."""

        def answered(answer: HttpAnswer | None) -> None:
            served = answer is not None and answer.status == HTTPStatus.OK
            text = answer.headers.get(OFFER.lower(), "") if answer is not None else ""
            done(Offer.decode(text) if served else None)

        self._ask(peer, "GET", "/members", answered)

    def _ask(
        self, peer: int, method: str, path: str, then: Callable[[HttpAnswer | None], None]
    ) -> None:
        """A little HTTP beside the link. None when nobody answers, or we are stopping."""
        link = self._links.get(peer)
        if link is None:
            asyncio.get_running_loop().call_soon(then, None)
            return
        task = asyncio.get_running_loop().create_task(
            ask(self._sockets, method, link.urls[0], path)
        )
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)
        task.add_done_callback(lambda t: then(None if t.cancelled() else t.result()))

    def connected_for(self, peer: int) -> float | None:
        """For how many seconds the link has been up; None while it is down."""
        link = self._links.get(peer)
        if link is None or link.open_since is None:
            return None
        return self._scheduler.now() - link.open_since

    def statistics(self) -> list[PeerStatistics]:
        """One row per peer that this member has now."""
        return [
            PeerStatistics(
                peer=peer,
                is_open=link.is_open,
                bytes_sent=link.bytes_sent,
                bytes_received=self._received[peer],
                sent_failures=self._sent_failures[peer],
                disconnects=link.disconnects,
                round_trip_s=link.round_trip_s,
            )
            for peer, link in self._links.items()
        ]

    async def close(self) -> None:
        for task in (*self._streams, *self._probes):
            task.cancel()
        for link in self._links.values():
            link.close()
        for server in self._servers:
            server.close()
        for protocol in list(self._accepted):
            if protocol.transport is not None:
                protocol.transport.abort()

    def _greeting(self, peer: int, purpose: Purpose) -> Greeting:
        return Greeting(self._identity.cluster_id, self._identity.member_id, peer, purpose)

    def _link_to(self, peer: int, urls: Sequence[str]) -> PeerLink:
        link = PeerLink(
            greeting=self._greeting(peer, Purpose.MESSAGES),
            urls=urls,
            sockets=self._sockets,
            scheduler=self._scheduler,
            queue_bytes_max=self._queue_bytes_max,
            told_removed=self._told_removed,
            changed=lambda peer, is_open: self.link_changed(peer, is_open),
        )
        link.start()
        return link

    def _renew_links(self) -> None:
        for link in self._links.values():
            link.renew()

    def _accept(self) -> PeerProtocol:
        return PeerProtocol(
            self._identity,
            self._scheduler,
            self._accepted,
            self._open_sink,
            has_removed=self._has_removed,
            respond=self._respond,
            complaints=self._complaints,
        )

    def _open_sink(self, greeting: Greeting, transport: asyncio.Transport) -> FrameSink | None:
        if greeting.sender in self._cut:
            return None
        if greeting.purpose is Purpose.SNAPSHOT:
            return SnapshotSink(
                greeting,
                transport,
                self._snapshot_worker,
                self._open_snapshot(),
                lambda message: self._deliver([message]),
            )
        received, sender = self._received, greeting.sender

        def count(size: int) -> None:
            received[sender] += size

        return MessageSink(greeting, self._deliver, self._frame_bytes_max, count)


def _promoted(answer: HttpAnswer | None) -> RaftKVError | None:
    if answer is None:
        return RequestTimeout("the leader did not answer")
    if answer.status == HTTPStatus.OK:
        return None
    text = answer.body.decode(errors="replace")
    return error_of_text(text) or RaftKVError(text)
