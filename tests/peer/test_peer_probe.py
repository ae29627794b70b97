"""What a look at a peer URL tells apart: nobody, a member, and all who are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from raftkv.peer.finding import Finding
from raftkv.peer.http import HttpAnswer, listen_http
from raftkv.peer.probe import probe
from raftkv.peer.sockets import PeerSockets
from raftkv.server.introduction import ClusterView
from raftkv.server.peer_answer import PeerAnswer, objection
from raftkv.server.status import MemberInfo
from raftkv.tls.credentials import Credentials
from raftkv.tls.settings import TlsSettings
from tests.certificates import Authority

OURS, OTHER = 0xC1, 0xC2
MEMBER = MemberInfo(7, "m", ("http://m:1",), ("http://m:2",))
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def saying(data: bytes) -> Answer:
    """Whatever is asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(data)
        writer.close()

    return answer


@asynccontextmanager
async def listening(answer: Answer) -> AsyncIterator[str]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def member_at(view: ClusterView, sockets: PeerSockets, scheme: str) -> AsyncIterator[str]:
    """The peer port as members open it."""
    answer = HttpAnswer(200, view.encode(), view.headers)
    server = (await listen_http(sockets, [f"{scheme}://127.0.0.1:0"], lambda m, p, r: r(answer)))[0]
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def judged(finding: Finding, **who: int) -> str:
    return objection("U", PeerAnswer.of(finding), cluster=OURS, removed={9}, **who)


async def test_nobody_is_no_objection() -> None:
    """A member that is not started yet is found so; so is a name that is not known yet."""
    async with listening(saying(b"")) as place:
        pass
    for url in (f"http://{place}", "http://no-such-host.invalid:1"):
        finding = await probe(PeerSockets(), url)
        assert "nothing answers" in finding.silence
        assert not finding.strange
        assert judged(finding) == ""
    async with listening(saying(b"")) as place:  # a balancer with nobody behind it
        assert judged(await probe(PeerSockets(), f"http://{place}")) == ""


@pytest.mark.parametrize(
    ("view", "owner", "text"),
    [
        (ClusterView(), 0, ""),
        (ClusterView(OTHER, True, (MEMBER,)), 0, "another cluster, c2"),
        (ClusterView(OURS, True, (MEMBER,), answerer=7), 0, "member 7 of this cluster answers"),
        (ClusterView(OURS, True, (MEMBER,), answerer=7), 7, ""),
        (ClusterView(OURS, True, (MEMBER,), answerer=7), 8, "member 7 of this cluster answers"),
        (ClusterView(OURS, True, (MEMBER,)), 0, "a member of this cluster answers"),
        (ClusterView(OURS, True, (MEMBER,), answerer=9), 0, ""),
    ],
)
async def test_a_member_answers(view: ClusterView, owner: int, text: str) -> None:
    """One without data may be the one that is meant; one that was removed is about to end."""
    async with member_at(view, PeerSockets(), "http") as place:
        finding = await probe(PeerSockets(), f"http://{place}")
    assert text in judged(finding, owner=owner)
    assert bool(text) == bool(judged(finding, owner=owner))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404; is it a client URL?"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "what no member says"),
    ],
)
async def test_what_is_no_member_is_named(data: bytes, text: str) -> None:
    """In words that tell what answered."""
    async with listening(saying(data)) as place:
        finding = await probe(PeerSockets(), f"http://{place}")
    assert text in judged(finding)
    assert "--initial-advertise-peer-urls" in judged(finding)


async def test_a_member_of_etcd_is_of_another_cluster() -> None:
    """Its rows are others, its header is the same."""
    body = b'[{"id":1,"peerURLs":["http://e:2380"],"name":"e"}]'
    head = b"HTTP/1.1 200 OK\r\nX-Etcd-Cluster-Id: cdf8\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with listening(saying(head + body)) as place:
        finding = await probe(PeerSockets(), f"http://{place}")
    assert "another cluster, cdf8" in judged(finding)


async def test_tls_and_its_absence_are_told(authority: Authority) -> None:
    """http where https is served, and the reverse; with both right, the member is found."""
    files = authority.issue("member")
    settings = TlsSettings(
        cert_file=str(files.cert), key_file=str(files.key), trusted_ca_file=str(authority.ca)
    )
    sockets = PeerSockets(Credentials(settings))
    async with member_at(ClusterView(), sockets, "https") as place:
        assert "is it https?" in judged(await probe(PeerSockets(), f"http://{place}"))
        found = await probe(sockets, f"https://{place}")
        assert (found.status, judged(found)) == (200, "")
    async with member_at(ClusterView(), PeerSockets(), "http") as place:
        finding = await probe(sockets, f"https://{place}")
        assert "TLS" in judged(finding)
