"""Errors: what certainly did not happen, and what nobody knows."""

from __future__ import annotations

import pytest

from jepsen_like.client.errors import is_unreachable, outcome_of
from jepsen_like.history.result import Refused, Unknown

_NO_CONNECTION = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: "
    "connect: Connection refused (111)"
)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("INVALID_ARGUMENT", "etcdserver: duplicate key given in txn request"),
        ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted"),
        ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision"),
        ("NOT_FOUND", "etcdserver: requested lease not found"),
        ("FAILED_PRECONDITION", "etcdserver: lease already exists"),
        ("UNKNOWN", "etcdserver: too many requests"),
        ("UNIMPLEMENTED", "unknown method LeaseGrant"),
        ("UNAVAILABLE", _NO_CONNECTION),
    ],
)
def test_proof_that_nothing_happened(code: str, text: str) -> None:
    """Errors of checks before the write, and calls for which there was no connection."""
    assert outcome_of(code, text) == Refused(code, text)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("DEADLINE_EXCEEDED", "Deadline Exceeded"),
        ("UNAVAILABLE", "Socket closed"),
        ("UNAVAILABLE", "recvmsg:Connection reset by peer"),
        ("UNAVAILABLE", "etcdserver: leader changed"),
        ("UNAVAILABLE", "etcdserver: request timed out"),
        ("UNAVAILABLE", "etcdserver: server stopped"),
        ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded"),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (5000000 vs. 4194304)"),
        ("CANCELLED", "etcdserver: request canceled"),
        ("INTERNAL", "stream terminated by RST_STREAM"),
        ("OUT_OF_RANGE", "a text that nobody has seen yet"),
    ],
)
def test_what_leaves_it_open(code: str, text: str) -> None:
    """Lost answers, and codes with a text that proves nothing: a put over the space limit is
    applied by etcd and answered with that error; a message too large to read was an answer."""
    assert outcome_of(code, text) == Unknown(code, text)


def test_only_a_failed_connection_is_unreachable() -> None:
    """A client that could not connect waits; one that was refused by a member does not."""
    assert is_unreachable("UNAVAILABLE", _NO_CONNECTION)
    assert not is_unreachable("UNAVAILABLE", "Socket closed")
    assert not is_unreachable("UNKNOWN", _NO_CONNECTION)
