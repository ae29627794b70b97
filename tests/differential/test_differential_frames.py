"""Calls that no library sends: both servers answer alike, or as the newer gRPC of etcd 3.7 does."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from raftkv.api import rpc_pb2 as pb
from tests.differential.frames import BrokenCall, FrameAnswer, answer_of
from tests.e2e.cluster import Cluster
from tests.e2e.program import ETCD_3_5, RAFTKV

pytestmark = pytest.mark.slow

RANGE = pb.RangeRequest(key=b"a", count_only=True).SerializeToString()
HALF = "half a message is none here, and an error of its own there; both refuse"
NEWER = "later versions of grpc-go answer with an HTTP status instead of RST_STREAM"
NO_MESSAGE = "cardinality violation: received no request message"
WRONG_TYPE = 'invalid gRPC request content-type "{}"'


def message(payload: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(payload)) + payload


ALIKE = [
    BrokenCall("whole", message(RANGE)),
    BrokenCall("compressed, no encoding", message(RANGE, 1)),
    BrokenCall("unknown encoding", message(RANGE, 1), {"grpc-encoding": "snappy"}),
    BrokenCall("unknown encoding, plain message", message(RANGE), {"grpc-encoding": "snappy"}),
    BrokenCall("longer than the limit", struct.pack(">BI", 0, 10_000_000) + RANGE),
    BrokenCall("grpc+proto", message(RANGE), {"content-type": "application/grpc+proto"}),
    BrokenCall("grpc+json", message(RANGE), {"content-type": "application/grpc+json"}),
    BrokenCall("no te", message(RANGE), {"te": None}),
    BrokenCall("no authority", message(RANGE), {":authority": None}),
    BrokenCall("another scheme", message(RANGE), {":scheme": "ftp"}),
    BrokenCall("three names", message(RANGE), {":path": "/etcdserverpb.KV/Range/x"}),
    BrokenCall("no method", message(RANGE), {":path": "/etcdserverpb.KV/"}),
    BrokenCall("a query", message(RANGE), {":path": "/etcdserverpb.KV/Range?a=b"}),
    BrokenCall("lower case", message(RANGE), {":path": "/etcdserverpb.kv/range"}),
    BrokenCall("metadata that is no base64", message(RANGE), {"x-bin": "%%%"}),
    BrokenCall("hasleader", message(RANGE), {"hasleader": "true"}),
]

OTHERWISE = [
    (BrokenCall("nothing"), "13", NO_MESSAGE, HALF),
    (BrokenCall("half a prefix", message(RANGE)[:3]), "13", NO_MESSAGE, HALF),
    (BrokenCall("half a message", message(RANGE)[:-2]), "13", NO_MESSAGE, HALF),
    (
        BrokenCall("two messages", message(RANGE) * 2),
        "13",
        "cardinality violation: received more than one request message",
        "later versions of grpc-go count the messages of a unary call",
    ),
    (
        BrokenCall("flag 2", message(RANGE, 2)),
        "13",
        "grpc: unexpected payload format 2",
        "the text only; grpc-go has another",
    ),
    (
        BrokenCall("json", message(RANGE), {"content-type": "application/json"}),
        "3",
        WRONG_TYPE.format("application/json"),
        NEWER,
    ),
    (
        BrokenCall("no content-type", message(RANGE), {"content-type": None}),
        "3",
        WRONG_TYPE.format(""),
        NEWER,
    ),
    (
        BrokenCall("GET", message(RANGE), {":method": "GET"}),
        "13",
        'Received a HEADERS frame with :method "GET" which should be POST',
        NEWER,
    ),
    (
        BrokenCall("no slash", message(RANGE), {":path": "etcdserverpb.KV/Range"}),
        "12",
        'malformed method name: "etcdserverpb.KV/Range"',
        "later versions of grpc-go insist on the slash",
    ),
    (
        BrokenCall("one name", message(RANGE), {":path": "/etcdserverpb.KV"}),
        "12",
        'malformed method name: "/etcdserverpb.KV"',
        "later versions of grpc-go have this code",
    ),
    (
        BrokenCall("a timeout in words", message(RANGE), {"grpc-timeout": "soon"}),
        "13",
        "malformed grpc-timeout: b'soon'",
        NEWER,
    ),
]


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """One raftkv, one etcd 3.5.1."""
    with ExitStack() as stack:
        clusters = [
            stack.enter_context(Cluster(program, tmp_path_factory.mktemp(program.name), members=1))
            for program in (RAFTKV, ETCD_3_5)
        ]
        ours, theirs = (cluster.members[0].endpoint for cluster in clusters)
        yield ours, theirs
        assert not clusters[0].broken_log_lines()


def compared(answer: FrameAnswer) -> FrameAnswer:
    """The response's message names members and terms: only that there is one is compared."""
    answer.data = b"message" if answer.data else b""
    return answer


@pytest.mark.parametrize("broken", ALIKE, ids=lambda broken: broken.name)
def test_broken_calls_are_answered_alike(endpoints: tuple[str, str], broken: BrokenCall) -> None:
    """HTTP's status, gRPC's code and text, resets and the end of the connection."""
    ours, theirs = (compared(answer_of(endpoint, broken)) for endpoint in endpoints)
    assert ours == theirs


@pytest.mark.parametrize(
    ("broken", "code", "text", "reason"), OTHERWISE, ids=lambda each: getattr(each, "name", "")
)
def test_known_differences_are_as_they_are_said(
    endpoints: tuple[str, str], broken: BrokenCall, code: str, text: str, reason: str
) -> None:
    """raftkv answers as written here; a row that no longer differs has to go."""
    ours, theirs = (compared(answer_of(endpoint, broken)) for endpoint in endpoints)
    assert (ours.code, ours.text, ours.data, ours.reset) == (code, text, b"", None)
    assert ours != theirs, f"no longer: {reason}"
