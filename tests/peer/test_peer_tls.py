"""Members that call each other under TLS: who is called, who calls, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

import pytest
import uvloop

from raftkv.peer.codec import encode_message
from raftkv.peer.framing import Greeting, Purpose, encode_frame
from raftkv.peer.http import HttpAnswer, ask, listen_http
from raftkv.peer.link import PeerLink
from raftkv.peer.listener import Identity, MessageSink, PeerProtocol
from raftkv.peer.sockets import PeerSockets
from raftkv.raft.message import Message, MessageType
from raftkv.server.asyncio_runtime import AsyncioScheduler
from raftkv.tls.credentials import Credentials
from raftkv.tls.handshake import TlsServer
from raftkv.tls.rate import Ration
from raftkv.tls.settings import NO_PEER_TLS, TlsSettings
from tests.certificates import Authority, Pair

SECONDS = 10
GREETING = Greeting(cluster_id=1, sender=1, target=2, purpose=Purpose.MESSAGES)


@pytest.fixture(scope="module")
def member(authority: Authority) -> Pair:
    return authority.issue("peer-member", cn="member")


@pytest.fixture(scope="module")
def mutual(authority: Authority, member: Pair) -> TlsSettings:
    """One member's: it shows its certificate and wants one of the same authority."""
    return with_pair(replace(NO_PEER_TLS, trusted_ca_file=str(authority.ca)), member)


def with_pair(settings: TlsSettings, pair: Pair) -> TlsSettings:
    return replace(settings, cert_file=str(pair.cert), key_file=str(pair.key))


def respond(method: str, path: str, reply: Callable[[HttpAnswer], None]) -> None:
    reply(HttpAnswer(200, b"x" * 100_000))


async def answered(server: TlsSettings, caller: TlsSettings, host: str = "127.0.0.1") -> bool:
    """Whether a member with ``caller`` gets the answer of one with ``server``."""
    url = "https://127.0.0.1:0"
    (listening,) = await listen_http(PeerSockets(Credentials(server)), [url], respond)
    assert isinstance(listening, TlsServer)
    port = listening.sockets[0].getsockname()[1]
    try:
        sockets = PeerSockets(Credentials(caller))
        answer = await ask(sockets, "GET", f"https://{host}:{port}", "/members")
    finally:
        listening.close()
    assert answer is None or len(answer.body) == 100_000
    return answer is not None


async def test_members_of_one_authority(mutual: TlsSettings) -> None:
    """They hear each other, an answer of several records too; the name in the URL counts."""
    assert await answered(mutual, mutual)
    assert await answered(mutual, mutual, "localhost")


async def test_a_caller_of_no_or_another_authority(
    mutual: TlsSettings, stranger: Authority
) -> None:
    """It is not answered."""
    assert not await answered(mutual, replace(mutual, cert_file="", key_file=""))
    foreign = stranger.issue("peer-foreign", cn="member")
    assert not await answered(mutual, with_pair(mutual, foreign))


async def test_allowed_common_names(mutual: TlsSettings, authority: Authority) -> None:
    """They bind who calls, and who is called."""
    other = with_pair(mutual, authority.issue("peer-other", cn="other"))
    allowed = ("spare", "member")
    assert not await answered(replace(mutual, allowed_names=allowed), other)
    assert not await answered(other, replace(mutual, allowed_names=allowed))
    assert await answered(replace(mutual, allowed_names=(*allowed, "other")), other)


async def test_the_callers_address(mutual: TlsSettings, authority: Authority) -> None:
    """A certificate that names addresses must name the caller's, unless that is not asked for; one
    that names none may come from anywhere."""
    elsewhere = with_pair(mutual, authority.issue("peer-elsewhere", hosts=("192.0.2.1",)))
    assert not await answered(mutual, elsewhere)
    assert await answered(replace(mutual, skip_client_san=True), elsewhere)
    assert await answered(mutual, with_pair(mutual, authority.issue("peer-bare", hosts=())))
    assert await answered(mutual, with_pair(mutual, authority.issue("p", hosts=("localhost",))))


async def test_the_name_that_is_called(mutual: TlsSettings, authority: Authority) -> None:
    """A member whose certificate is for another name is not believed; a self-signed one is, since
    nothing could verify it."""
    wrong = with_pair(mutual, authority.issue("peer-wrong", hosts=("m.example.org",)))
    assert not await answered(replace(wrong, skip_client_san=True), mutual)
    assert await answered(replace(wrong, trusted_ca_file=""), replace(mutual, is_self_signed=True))


async def test_a_link_is_checked_before_it_is_used(
    mutual: TlsSettings, authority: Authority
) -> None:
    """The protocol of a dialled connection never hears of one that is refused, and the error says
    why; a good one it hears of once."""
    made: list[asyncio.BaseTransport] = []

    class Caller(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)

    server = PeerSockets(Credentials(mutual))
    listening = await server.listen("https://127.0.0.1:0", asyncio.Protocol)
    port = listening.sockets[0].getsockname()[1]
    url = f"https://127.0.0.1:{port}"
    strict = PeerSockets(Credentials(replace(mutual, allowed_names=("leader",))))
    with pytest.raises(ConnectionError, match="its CN 'member' is not allowed"):
        await strict.dial(url, Caller)
    nobody = PeerSockets(Credentials(NO_PEER_TLS))
    with pytest.raises(ConnectionError, match="its certificate is refused"):
        await nobody.dial(url, Caller)
    assert not made
    await asyncio.wait_for(PeerSockets(Credentials(mutual)).dial(url, Caller), SECONDS)
    assert len(made) == 1
    made[0].close()
    listening.close()


@asynccontextmanager
async def linked(url: str, sockets: PeerSockets) -> AsyncIterator[PeerLink]:
    """A link from member 1 to member 2, who is at ``url``."""
    link = PeerLink(
        greeting=GREETING,
        urls=[url],
        sockets=sockets,
        scheduler=AsyncioScheduler(asyncio.get_running_loop()),
        queue_bytes_max=1 << 20,
        told_removed=lambda: None,
    )
    link.start()
    yield link
    link.close()


@asynccontextmanager
async def listening_at(
    url: str, sockets: PeerSockets, deliver: Callable[[list[Message]], None] = lambda messages: None
) -> AsyncIterator[str]:
    """Member 2's port; its URL. ``deliver`` gets what comes."""

    def accept() -> PeerProtocol:
        return PeerProtocol(
            Identity(cluster_id=1, member_id=2),
            AsyncioScheduler(asyncio.get_running_loop()),
            set(),
            lambda greeting, transport: MessageSink(greeting, deliver, 1 << 20),
            has_removed=lambda member: False,
            respond=respond,
            complaints=Ration(1, 0, asyncio.get_running_loop().time),
        )

    server = await sockets.listen(f"{url}:0", accept)
    yield f"{url}:{server.sockets[0].getsockname()[1]}"
    server.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - the condition is the link's, no event of ours
            await asyncio.sleep(0)


async def test_a_link_under_tls(mutual: TlsSettings) -> None:
    """It comes up, and counts what it sends."""
    sockets = PeerSockets(Credentials(mutual))
    async with listening_at("https://127.0.0.1", sockets) as url, linked(url, sockets) as link:
        await until(lambda: link.is_open)
        assert link.send(b"")


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_link_that_moves_loses_nothing(
    mutual: TlsSettings, scheme: str, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Renewed ten times while it sends, it is open all along and each message arrives once; a link
    without TLS has nothing to renew, and stays on its connection."""
    came: list[int] = []

    def deliver(messages: list[Message]) -> None:
        came.extend(message.index for message in messages)

    async def scenario() -> None:
        sockets = PeerSockets(Credentials(mutual))
        async with (
            listening_at(f"{scheme}://127.0.0.1", sockets, deliver) as url,
            linked(url, sockets) as link,
        ):
            await until(lambda: link.is_open)
            numbers = count()

            async def say() -> int:
                number = next(numbers)
                message = Message(MessageType.HEARTBEAT, to=2, sender=1, term=1, index=number)
                assert link.send(encode_frame(encode_message(message)))
                await asyncio.sleep(0)
                return number

            for _ in range(10):
                before = link._transport
                link.renew()
                for _ in range(20):
                    await say()
                async with asyncio.timeout(SECONDS):
                    while scheme == "https" and link._transport is before:
                        await say()
                assert (link._transport is before) == (scheme == "http")
            last = await say()
            await until(lambda: len(came) == last + 1)
            assert sorted(came) == list(range(last + 1))
            assert link.disconnects == 0

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scenario())


def told(caplog: pytest.LogCaptureFixture) -> str:
    """All lines with their fields."""
    return "\n".join(f"{r.getMessage()} {getattr(r, 'fields', '')}" for r in caplog.records)


async def test_tls_on_one_side_only(mutual: TlsSettings, caplog: pytest.LogCaptureFixture) -> None:
    """Either way both members say in one line what the other speaks."""
    sockets = PeerSockets(Credentials(mutual))
    async with listening_at("https://127.0.0.1", sockets) as url:
        async with linked(url.replace("https", "http"), sockets):
            await until(lambda: "does it speak TLS, or not?" in told(caplog))
        assert "it speaks no TLS, which this port wants: use https" in told(caplog)
    caplog.clear()
    async with listening_at("http://127.0.0.1", sockets) as url:
        async with linked(url.replace("http", "https"), sockets):
            await until(lambda: "cannot reach https://" in told(caplog))
        assert "it speaks TLS, this port is plain: use http" in told(caplog)
