"""The client port under TLS: who is let in, as whom, and what becomes of all others."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest
import uvloop
from grpc import aio

from raftkv.tls.contexts import ALPN_CLIENT_PORT
from raftkv.tls.credentials import Credentials
from raftkv.tls.handshake import HandshakeLimits
from raftkv.tls.settings import TlsSettings
from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import Listener, listen
from raftkv.wire.service import HttpRequest, HttpResponse, Service, UnaryCall
from tests.certificates import Authority, Pair
from tests.wire.services import make_service, status_of
from tests.wire.waiting import until

SECONDS = 10
GET = b"GET /t HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


async def whoami(request: HttpRequest) -> HttpResponse:
    """The name on the caller's certificate."""
    return HttpResponse(200, f"you are {request.peer_common_name!r}\n".encode())


def _who(message: bytes, call: UnaryCall) -> None:
    call.reply(call.peer_common_name.encode())


WHO = Service("test.Who", status_of, unary={"Ami": _who})


@dataclass(frozen=True)
class Files:
    """What the tests of this file share; ``client`` has the CN alice."""

    ca: Path
    server: Pair
    client: Pair
    foreign: Pair

    @property
    def settings(self) -> TlsSettings:
        return TlsSettings(cert_file=str(self.server.cert), key_file=str(self.server.key))

    @property
    def mutual(self) -> TlsSettings:
        return replace(self.settings, trusted_ca_file=str(self.ca))

    def caller(self, pair: Pair | None = None, *alpn: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


@pytest.fixture(scope="module")
def files(authority: Authority, stranger: Authority) -> Files:
    return Files(
        authority.ca,
        authority.issue("wire-server"),
        authority.issue("wire-client", cn="alice", hosts=()),
        stranger.issue("wire-foreign", cn="mallory", hosts=()),
    )


async def serving(
    settings: TlsSettings | None,
    handshakes: HandshakeLimits | None = None,
    address: tuple[str, int] | str = ("127.0.0.1", 0),
) -> Listener:
    tls = Credentials(settings, ALPN_CLIENT_PORT) if settings is not None else None
    return await listen(
        [make_service(), WHO], whoami, address, WireLimits(), tls=tls, handshakes=handshakes
    )


async def get(listener: Listener, context: ssl.SSLContext | None) -> bytes:
    """The answer to GET; b"" or an OSError when the connection was ended instead."""
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection("localhost", listener.port, ssl=context)
        try:
            writer.write(GET)
            return await reader.read()
        finally:
            writer.close()


async def is_refused(listener: Listener, context: ssl.SSLContext | None) -> bool:
    """Whether the server ends the connection without an answer. TLS 1.3 tells a client of a bad
    certificate only after the client's own half of the handshake."""
    try:
        return await get(listener, context) == b""
    except OSError:
        return True


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Runs a coroutine on either loop."""

    def run(scenario: Callable[[], object]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(scenario())  # type: ignore[arg-type]

    return run


def test_grpc_and_http_over_tls(play: Callable[..., None], files: Files) -> None:
    """gRPC with messages larger than a TLS record and a graceful close; HTTP/1.1 on the port too,
    by ALPN or without it."""

    async def scenario() -> None:
        listener = await serving(files.settings)
        credentials = grpc.ssl_channel_credentials(files.ca.read_bytes())
        options = [("grpc.max_receive_message_length", -1)]
        target = f"localhost:{listener.port}"
        async with aio.secure_channel(target, credentials, options) as channel:
            data = os.urandom(1_000_000)
            echo = channel.unary_unary("/test.Service/Echo")
            assert await asyncio.wait_for(echo(data), SECONDS) == data
            assert await channel.unary_unary("/test.Who/Ami")(b"") == b""
            for alpn in ((), ("http/1.1",)):
                answer = await get(listener, files.caller(None, *alpn))
                assert answer.endswith(b"you are ''\n")
            await asyncio.wait_for(listener.close(grace_seconds=1), SECONDS)

    play(scenario)


def test_a_ca_alone_makes_client_certificates_mandatory(
    play: Callable[..., None], files: Files
) -> None:
    """Without a certificate, or with one of another authority, nobody is let in; with one the
    handlers of gRPC and of HTTP see its CN."""

    async def scenario() -> None:
        listener = await serving(files.mutual)
        assert (await get(listener, files.caller(files.client))).endswith(b"you are 'alice'\n")
        assert await is_refused(listener, files.caller())
        assert await is_refused(listener, files.caller(files.foreign))
        credentials = grpc.ssl_channel_credentials(
            files.ca.read_bytes(), files.client.key.read_bytes(), files.client.cert.read_bytes()
        )
        async with aio.secure_channel(f"localhost:{listener.port}", credentials) as channel:
            assert await channel.unary_unary("/test.Who/Ami")(b"", timeout=SECONDS) == b"alice"
        await until(lambda: listener.handshakes == 0)
        await listener.close(0)

    play(scenario)


async def test_the_ca_file_may_hold_anything(files: Files) -> None:
    """As in Go it need be no root: a certificate that is in the file itself is trusted."""
    listener = await serving(replace(files.settings, trusted_ca_file=str(files.foreign.cert)))
    assert (await get(listener, files.caller(files.foreign))).endswith(b"you are 'mallory'\n")
    assert await is_refused(listener, files.caller(files.client))
    await listener.close(0)


async def test_allowed_host_name(files: Files, authority: Authority) -> None:
    """Of verified clients, only one whose certificate is for the host is let in."""
    good = authority.issue("wire-host", hosts=("*.example.org",))
    listener = await serving(replace(files.mutual, allowed_hostnames=("a.example.org",)))
    assert await get(listener, files.caller(good))
    assert await is_refused(listener, files.caller(files.client))
    await listener.close(0)


async def test_files_are_read_anew(
    files: Files, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """A new pair is shown to the next client. A pair that does not fit changes nothing, is one
    error in the log, and is taken once it is mended."""
    live = authority.issue("wire-live")
    listener = await serving(
        replace(files.settings, cert_file=str(live.cert), key_file=str(live.key))
    )
    open_before = await asyncio.open_connection(
        "localhost", listener.port, ssl=files.caller(None, "http/1.1")
    )
    assert await shown(listener, files) == live.serial
    second = authority.issue("wire-second")
    live.replace_with(second)
    assert await shown(listener, files) == second.serial
    third = authority.issue("wire-third")
    live.cert.write_bytes(third.cert.read_bytes())
    for _ in range(3):
        assert await shown(listener, files) == second.serial
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert "the old ones stay in use" in errors[0].getMessage()
    live.key.write_bytes(third.key.read_bytes()[:50])
    assert await shown(listener, files) == second.serial
    live.key.write_bytes(third.key.read_bytes())
    assert await shown(listener, files) == third.serial
    reader, writer = open_before
    writer.write(GET)
    assert await asyncio.wait_for(reader.read(), SECONDS)
    writer.close()
    await listener.close(0)


async def shown(listener: Listener, files: Files) -> int:
    """The serial number of the server's certificate."""
    async with asyncio.timeout(SECONDS):
        _, writer = await asyncio.open_connection("localhost", listener.port, ssl=files.caller())
    try:
        return int(writer.get_extra_info("peercert")["serialNumber"], 16)
    finally:
        writer.close()


async def test_revoked_certificates(
    files: Files, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who is in the list is refused from the next handshake on, and let in once the list says so;
    a list that cannot be read leaves the last one in force. An issuer in the list counts too."""
    other = authority.issue("wire-other", cn="bob", hosts=())
    crl = authority.revoke(tmp_path / "list.pem", other.serial)
    listener = await serving(replace(files.mutual, crl_file=str(crl)))
    assert await is_refused(listener, files.caller(other))
    assert f"serial {other.serial:x} revoked" in "".join(told(caplog))
    assert await get(listener, files.caller(files.client))
    crl.write_bytes(b"half a li")
    assert await is_refused(listener, files.caller(other))
    authority.revoke(crl, files.client.serial)
    assert await get(listener, files.caller(other))
    assert await is_refused(listener, files.caller(files.client))
    authority.revoke(crl, authority.serial)
    assert await is_refused(listener, files.caller(other))
    await listener.close(0)


def test_plaintext_on_a_tls_port(
    play: Callable[..., None], files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    """Closed at once, with one clear line; the lines have a bound, and the rest is counted."""
    limits = HandshakeLimits(log_lines_burst=2, log_lines_per_second=0)

    async def scenario() -> None:
        listener = await serving(files.settings, limits)
        for start in (GET, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0" * 64):
            async with asyncio.timeout(SECONDS):
                reader, writer = await asyncio.open_connection("localhost", listener.port)
                writer.write(start)
                assert await rest(reader) == b""
                writer.close()
        await until(lambda: listener.handshakes == 0)
        await listener.close(0)

    play(scenario)
    lines = [line for line in told(caplog) if "rejected connection" in line]
    assert len(lines) == 2
    assert "it speaks no TLS, which this port wants: use https" in lines[0]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Each line with its fields."""
    return [f"{each.getMessage()} {getattr(each, 'fields', '')}" for each in caplog.records]


def test_tls_on_a_plaintext_port(
    play: Callable[..., None], files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    """Closed at once, with one clear line."""

    async def scenario() -> None:
        listener = await serving(None)
        assert await is_refused(listener, files.caller())
        await until(lambda: listener.connections == 0)
        await listener.close(0)

    play(scenario)
    lines = [line for line in told(caplog) if "rejected connection" in line]
    assert len(lines) == 1
    assert "it speaks TLS, this port is plain: use http" in lines[0]


def test_slow_handshake_is_cut(
    play: Callable[..., None], files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that says nothing, or half a record, is cut at the deadline."""

    async def scenario() -> None:
        listener = await serving(files.settings, HandshakeLimits(handshake_seconds_max=0.2))
        for start in (b"", b"\x16\x03\x01\x02\x00\x01"):
            async with asyncio.timeout(SECONDS):
                reader, writer = await asyncio.open_connection("localhost", listener.port)
                writer.write(start)
                assert await reader.read() == b""
                writer.close()
        await until(lambda: listener.handshakes == 0)
        await listener.close(0)

    play(scenario)
    assert "no handshake within 0.2 s" in "".join(told(caplog))


def test_handshakes_under_way_are_bounded(play: Callable[..., None], files: Files) -> None:
    """With all places taken by clients that say nothing, one that speaks gets in all the same: the
    oldest is cut once it has had its time."""
    limits = HandshakeLimits(handshakes_max=3, patience_seconds=0.05, handshake_seconds_max=60)

    async def scenario() -> None:
        listener = await serving(files.settings, limits)
        silent = [await asyncio.open_connection("localhost", listener.port) for _ in range(6)]
        await until(lambda: listener.handshakes == 3)
        assert await get(listener, files.caller())
        assert listener.handshakes <= 3
        await listener.close(0)
        for reader, writer in silent:
            assert await rest(reader) == b""
            writer.close()

    play(scenario)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the end; a reset is an end too."""
    async with asyncio.timeout(SECONDS):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.slow
def test_broken_records_harm_nobody(play: Callable[..., None], files: Files) -> None:
    """300 client hellos with bytes flipped, cut, doubled or made up, from a seed: every connection
    ends, no handshake stays, no descriptor is lost, nothing is reported as our fault, and the next
    client is served."""
    source = random.Random(20261121)

    async def scenario() -> None:
        limits = HandshakeLimits(log_lines_burst=0)
        listener = await serving(files.mutual, limits)
        assert await get(listener, files.caller(files.client))
        await until(lambda: listener.connections == 0)
        before = len(os.listdir("/proc/self/fd"))
        failures: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: failures.append(what))
        hello = client_hello(files.caller(files.client, "h2"), source)
        for batch in range(10):
            peers = [await asyncio.open_connection("localhost", listener.port) for _ in range(30)]
            for _, writer in peers:
                writer.write(broken(hello, source))
                writer.write_eof()
            for reader, writer in peers:
                await rest(reader)
                writer.close()
            assert await get(listener, files.caller(files.client)), f"after batch {batch}"
        await until(lambda: listener.handshakes == 0 and listener.connections == 0)
        await until(lambda: len(os.listdir("/proc/self/fd")) <= before)
        assert failures == []
        await listener.close(0)

    play(scenario)


X25519_SHARE = bytes.fromhex("00330026 0024001d0020")


def client_hello(context: ssl.SSLContext, source: random.Random) -> bytes:
    """OpenSSL's, but what it draws by chance (random, session id, key share) is from the seed."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = bytearray(outgoing.read())
    for at in (11, 44, hello.index(X25519_SHARE) + len(X25519_SHARE)):
        hello[at : at + 32] = source.randbytes(32)
    return bytes(hello)


def broken(hello: bytes, source: random.Random) -> bytes:
    """One of five ways to break it."""
    data = bytearray(hello)
    way = source.randrange(5)
    if way == 0:
        for _ in range(source.randint(1, 8)):
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
    elif way == 1:
        del data[source.randrange(1, len(data)) :]
    elif way == 2:
        at = source.randrange(5, len(data))
        data[at:at] = source.randbytes(source.randint(1, 300))
    elif way == 3:
        data += bytes(data) if source.random() < 0.5 else source.randbytes(2_000)
    else:
        size = source.randint(1, 20_000)
        data = bytearray(b"\x16\x03\x01" + source.randbytes(size))
    return bytes(data)


async def test_unix_socket(files: Files, tmp_path: Path) -> None:
    """Plain and under TLS: served, a stale file replaced, and the file gone after the end. One that
    is in use, no socket, or has too long a path is an error that says so."""
    path = tmp_path / "etcd:1"
    for settings in (None, files.settings):
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(path))
        assert path.exists()
        listener = await serving(settings, address=str(path))
        context = files.caller() if settings is not None else None
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_unix_connection(
                str(path), ssl=context, server_hostname="localhost" if context else None
            )
            writer.write(GET)
            assert (await reader.read()).endswith(b"you are ''\n")
            writer.close()
        with pytest.raises(OSError, match="another process listens on"):
            await serving(settings, address=str(path))
        await listener.close(0)
        assert not path.exists()
    path.write_text("a letter")
    with pytest.raises(OSError, match="is there and no socket"):
        await serving(None, address=str(path))
    with pytest.raises(OSError, match="at most 107 bytes, not 20"):
        await serving(None, address=str(tmp_path) + "/" + "x" * (200 - len(str(tmp_path))))


@pytest.mark.parametrize("change", ["removed", "revoked"])
async def test_who_is_no_longer_trusted_must_go(
    files: Files, authority: Authority, tmp_path: Path, change: str
) -> None:
    """A connection whose CA leaves the bundle, or whose certificate is revoked, is ended by itself,
    but not before the call that runs on it is answered; whom the files still admit stays."""
    other = Authority(tmp_path / "other", "the next CA")
    stays, goes = files.client, other.issue("goes", cn="bob", hosts=())
    bundle, crl = tmp_path / "bundle.pem", authority.revoke(tmp_path / "list.pem", 1)
    bundle.write_bytes(authority.ca.read_bytes() + other.ca.read_bytes())
    settings = replace(files.settings, trusted_ca_file=str(bundle), crl_file=str(crl))
    tls = Credentials(settings, ALPN_CLIENT_PORT)
    listener = await listen([make_service(), WHO], whoami, ("127.0.0.1", 0), tls=tls)
    target = f"localhost:{listener.port}"

    def channel(pair: Pair) -> aio.Channel:
        secrets = (files.ca, pair.key, pair.cert)
        credentials = grpc.ssl_channel_credentials(*(path.read_bytes() for path in secrets))
        return aio.secure_channel(target, credentials)

    async with channel(stays) as staying, channel(goes) as going:
        who = "/test.Who/Ami"
        assert await staying.unary_unary(who)(b"", timeout=SECONDS) == b"alice"
        slow = going.stream_stream("/test.Service/Bidi")()
        await slow.write(b"once")
        assert await asyncio.wait_for(slow.read(), SECONDS) == b"once"
        if change == "removed":
            bundle.write_bytes(authority.ca.read_bytes())
        else:
            authority.revoke(crl, goes.serial)
        assert await get(listener, files.caller(files.client))
        await until(lambda: tls.connections.dismissed == 1)
        await slow.write(b"twice")
        assert await asyncio.wait_for(slow.read(), SECONDS) == b"twice"
        await slow.done_writing()
        assert await asyncio.wait_for(slow.read(), SECONDS) is aio.EOF
        await until(lambda: listener.connections == 1)
        assert await staying.unary_unary(who)(b"", timeout=SECONDS) == b"alice"
    await listener.close(0)
