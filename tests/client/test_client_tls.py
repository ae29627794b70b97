"""The client under TLS: whom it trusts, who it says it is, and how endpoints are written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from raftkv.api import rpc_pb2 as api
from raftkv.client import Client, RetryPolicy, Tls
from raftkv.errors import Unavailable
from raftkv.tls.contexts import ALPN_CLIENT_PORT
from raftkv.tls.credentials import Credentials
from raftkv.tls.settings import TlsSettings
from raftkv.wire.listener import Listener, listen
from raftkv.wire.service import Service, Status, UnaryCall
from tests.certificates import Authority, Pair

ONCE = RetryPolicy(timeout_s=5, tries_max=1)


def answer(message: bytes, call: UnaryCall) -> None:
    """A range whose answer counts the letters of the caller's CN."""
    call.reply(api.RangeResponse(count=len(call.peer_common_name)).SerializeToString())


KV = Service("etcdserverpb.KV", lambda e: Status(2, str(e)), unary={"Range": answer})


@pytest.fixture(scope="module")
def alice(authority: Authority) -> Pair:
    return authority.issue("client-alice", cn="alice", hosts=())


@pytest.fixture
async def listener(authority: Authority) -> AsyncIterator[Listener]:
    """Under TLS, for the name m.example.org; clients must have a certificate."""
    pair = authority.issue("client-member", hosts=("m.example.org",))
    settings = TlsSettings(
        cert_file=str(pair.cert), key_file=str(pair.key), trusted_ca_file=str(authority.ca)
    )
    tls = Credentials(settings, ALPN_CLIENT_PORT)
    listener = await listen([KV], None, ("127.0.0.1", 0), tls=tls)
    yield listener
    await listener.close(0)


async def count(endpoint: str, tls: Tls | None) -> int:
    async with Client([endpoint], tls=tls, policy=ONCE) as client:
        return (await client.range(api.RangeRequest(key=b"k"))).count


@pytest.mark.parametrize("scheme", ["", "https://"])
async def test_a_certificate_and_a_name(
    listener: Listener, authority: Authority, alice: Pair, scheme: str
) -> None:
    """With the CA, a certificate and the right name the server answers, and knows who asks."""
    tls = Tls(str(authority.ca), str(alice.cert), str(alice.key), server_name="m.example.org")
    assert await count(f"{scheme}127.0.0.1:{listener.port}", tls) == len("alice")


async def test_nobody_is_trusted_by_mistake(
    listener: Listener, authority: Authority, stranger: Authority, alice: Pair
) -> None:
    """Another CA, another name, no certificate of one's own, or no TLS: no answer."""
    pair = (str(alice.cert), str(alice.key))
    endpoint = f"127.0.0.1:{listener.port}"
    for tls in (
        Tls(str(stranger.ca), *pair, server_name="m.example.org"),
        Tls(str(authority.ca), *pair),
        Tls(str(authority.ca), server_name="m.example.org"),
        Tls("", *pair, server_name="m.example.org"),
        None,
    ):
        with pytest.raises(Unavailable):
            await count(endpoint, tls)


async def test_verification_switched_off(listener: Listener, alice: Pair) -> None:
    """Whoever answers is trusted, whatever its certificate is for."""
    tls = Tls(cert=str(alice.cert), key=str(alice.key), insecure_skip_verify=True)
    assert await count(f"127.0.0.1:{listener.port}", tls) == len("alice")


async def test_unix_socket(tmp_path: Path) -> None:
    """A unix URL is served without any name."""
    listener = await listen([KV], None, f"{tmp_path}/socket")
    assert await count(f"unix://{tmp_path}/socket", None) == 0
    await listener.close(0)


def test_mistakes_are_told_at_once(authority: Authority) -> None:
    """A missing file, half a pair and an unknown scheme do not wait for the first call."""
    with pytest.raises(ValueError, match="needs its key"):
        Tls(cert="x")
    with pytest.raises(OSError, match="nowhere"):
        Client(["https://h:1"], tls=Tls(ca="/nowhere"))
    with pytest.raises(ValueError, match="the scheme must be one of http, https, unix, unixs"):
        Client(["ftp://h:1"])
