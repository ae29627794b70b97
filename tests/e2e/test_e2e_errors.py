"""Bad requests and bad bytes get etcd's answer or a closed connection, and service goes on."""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster
from tests.e2e.etcdctl import Etcdctl
from tests.e2e.member_process import MemberProcess

MiB = 1024 * 1024
SEED = 20240229

# What a confused client or a scanner may send; none of it is a member's or a client's speech.
GARBAGE: Sequence[bytes] = (
    b"\0" * 64,
    b"\xff" * 4096,
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET /" + b"a" * 100_000,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\0" * 9,
    random.Random(SEED).randbytes(65_536),
)


def code_and_text(error: pytest.ExceptionInfo[grpc.RpcError]) -> tuple[str, str | None]:
    return error.value.code().name, error.value.details()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("put", "", "v"), "etcdserver: key is not provided"),
        (("get", ""), "etcdserver: key is not provided"),
        (("del", ""), "etcdserver: key is not provided"),
        (("get", "k", "--rev=9000000"), "etcdserver: mvcc: required revision is a future revision"),
        (("put", "k", "v", "--lease=4d2"), "etcdserver: requested lease not found"),
    ],
)
def test_refusals_have_etcds_text(ctl: Etcdctl, arguments: Sequence[str], text: str) -> None:
    """etcdctl shows the same error line for raftkv as for etcd."""
    assert ctl.fails(*arguments) == f"Error: {text}"


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (pb.PutRequest(value=b"v"), "INVALID_ARGUMENT", "etcdserver: key is not provided"),
        (
            pb.PutRequest(key=b"k", value=b"v", ignore_value=True),
            "INVALID_ARGUMENT",
            "etcdserver: value is provided",
        ),
        (
            pb.PutRequest(key=b"k", lease=1, ignore_lease=True),
            "INVALID_ARGUMENT",
            "etcdserver: lease is provided",
        ),
        (
            pb.PutRequest(key=b"\xff no such key", ignore_value=True),
            "INVALID_ARGUMENT",
            "etcdserver: key not found",
        ),
        (pb.PutRequest(key=b"k", lease=7), "NOT_FOUND", "etcdserver: requested lease not found"),
    ],
    ids=["no key", "ignore_value", "ignore_lease", "missing key", "no such lease"],
)
def test_put_refusals(api: Api, request_: pb.PutRequest, code: str, text: str) -> None:
    """A put that etcd refuses is refused with the same code and text, and no revision is used."""
    put = api.unary("/etcdserverpb.KV/Put", pb.PutResponse)
    before = api.revision()
    with pytest.raises(grpc.RpcError) as refused:
        put(request_, timeout=10)
    assert code_and_text(refused) == (code, text)
    assert api.revision() == before


def test_large_put_is_accepted_up_to_the_limit(api: Api, prefix: str) -> None:
    """1.4 MiB is written and read back whole."""
    value = random.Random(SEED).randbytes(int(1.4 * MiB))
    api.put(prefix.encode(), value)
    assert api.range(prefix.encode()).kvs[0].value == value


def test_oversized_put_is_refused(api: Api, prefix: str) -> None:
    """Above --max-request-bytes the request is too large; far above, the message itself is."""
    with pytest.raises(grpc.RpcError) as refused:
        api.put(prefix.encode(), b"v" * int(1.6 * MiB))
    assert code_and_text(refused) == ("INVALID_ARGUMENT", "etcdserver: request is too large")
    with pytest.raises(grpc.RpcError) as refused:
        api.put(prefix.encode(), b"v" * 3 * MiB)
    code, text = code_and_text(refused)
    assert code == "RESOURCE_EXHAUSTED"
    assert "larger than max" in str(text)
    assert api.range(prefix.encode()).count == 0


def test_unknown_method_is_unimplemented(api: Api) -> None:
    """A method that does not exist, of a service that does or does not, is UNIMPLEMENTED."""
    for path in ("/etcdserverpb.KV/Frobnicate", "/no.such.Service/Method"):
        with pytest.raises(grpc.RpcError) as refused:
            api.unary(path, Empty)(Empty(), timeout=10)
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED, path


def test_malformed_message_is_an_error(api: Api) -> None:
    """Bytes that are no PutRequest get a status, and the connection stays usable."""
    put: Any = api.channel.unary_unary("/etcdserverpb.KV/Put")
    with pytest.raises(grpc.RpcError) as refused:
        put(b"\xff\xff\xff\xff\xff", timeout=10)
    assert refused.value.code() in (
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNKNOWN,
    )
    assert api.revision() > 0


@pytest.mark.parametrize("port", ["client", "peer"])
@pytest.mark.parametrize("number", range(len(GARBAGE)))
def test_garbage_leaves_the_member_serving(
    shared_cluster: Cluster, member: MemberProcess, port: str, number: int, prefix: str
) -> None:
    """Garbage on either port, then silence: the member goes on serving and stays in its cluster."""
    term = shared_cluster.api(member).status().raftTerm
    addresses = member.addresses
    where = addresses.client_port if port == "client" else addresses.peer_port
    with socket.create_connection(("127.0.0.1", where), timeout=10) as connection:
        _send(connection, GARBAGE[number])
        written = shared_cluster.api(member).put(prefix.encode(), b"v")
        assert written.header.revision > 1
        assert shared_cluster.ctl(member).ok("get", prefix, "--print-value-only") == ["v"]
    assert member.is_running
    assert shared_cluster.api(member).status().raftTerm == term


def test_half_open_connections_hold_nobody_up(member: MemberProcess, api: Api) -> None:
    """A hundred connections that say nothing do not keep others from being served."""
    idle = [
        socket.create_connection(("127.0.0.1", member.addresses.client_port), timeout=10)
        for _ in range(100)
    ]
    assert api.put(b"while/idle", b"v").header.revision > 1
    for connection in idle:
        connection.close()


def _send(connection: socket.socket, garbage: bytes) -> None:
    try:
        connection.sendall(garbage)
    except OSError:
        # The member may close on us in the middle: that is an answer.
        return
