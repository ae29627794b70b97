"""Quotas of prefixes as entries: who is refused, with which words, and level 0, where nobody is."""

from __future__ import annotations

import pytest
from applied_store import Applied
from test_apply_space import ask, set_level

from raftkv.api.prefix_quota_pb2 import PrefixQuotaRequest, PrefixQuotaResponse
from raftkv.api.rpc_pb2 import Compare, PutRequest, RequestOp, TxnRequest
from raftkv.apply.applier import Outcome
from raftkv.apply.batch import RequestKind
from raftkv.errors import InvalidRequest, MalformedRequest, PrefixFull, Unavailable
from raftkv.rpc.errors import Code, status_of


def set_quota(applied: Applied, prefix: bytes, size: int = 0, keys: int = 0) -> Outcome:
    request = PrefixQuotaRequest(prefix=prefix, bytes_max=size, keys_max=keys)
    return ask(applied, RequestKind.PREFIX_QUOTA, request.SerializeToString())


@pytest.fixture
def bounded(applied: Applied) -> Applied:
    """Ten bytes and three keys below t/, of which t/1 takes four bytes."""
    set_level(applied, 1)
    applied.put(b"t/1", b"v")
    reply = set_quota(applied, b"t/", 10, 3)
    assert isinstance(reply, bytes)
    (row,) = PrefixQuotaResponse.FromString(reply).quotas
    assert (row.prefix, row.bytes, row.bytes_max, row.keys, row.keys_max) == (b"t/", 4, 10, 1, 3)
    return applied


def refused(applied: Applied, request: PutRequest | TxnRequest, words: str) -> None:
    """With these words, and without a trace."""
    before = applied.store.hash_kv(0), applied.store.current_revision
    (outcome,) = applied.outcomes(request)
    assert isinstance(outcome, PrefixFull), outcome
    assert words in str(outcome)
    assert status_of(outcome).code == Code.RESOURCE_EXHAUSTED
    assert status_of(outcome).message == str(outcome)
    assert (applied.store.hash_kv(0), applied.store.current_revision) == before


def test_a_put_beyond_the_bytes_is_refused(bounded: Applied) -> None:
    """What fits to the byte, fits; elsewhere there is no such bound."""
    refused(
        bounded, PutRequest(key=b"t/1", value=b"12345678"), "4 bytes of its quota of 10, 7 more"
    )
    bounded.put(b"t/1", b"1234567")
    refused(bounded, PutRequest(key=b"t/2"), "holds 10 bytes of its quota of 10, 3 more")
    bounded.put(b"t", b"v" * 100)
    bounded.put(b"u/1", b"v" * 100)


def test_a_key_too_many_is_refused(bounded: Applied) -> None:
    """A key that is there already may be put again."""
    bounded.put(b"t/2")
    bounded.put(b"t/3")
    set_quota(bounded, b"t/", 0, 3)
    refused(bounded, PutRequest(key=b"t/4"), "3 keys of its quota of 3, 1 more")
    bounded.put(b"t/3", b"v" * 1000)


def test_deletes_make_room_and_smaller_values_always_go(bounded: Applied) -> None:
    """Also when a lower bound was set than what is there."""
    bounded.put(b"t/1", b"1234567")
    set_quota(bounded, b"t/", 5)
    bounded.put(b"t/1", b"123456")
    bounded.put(b"t/1", b"654321")
    refused(bounded, PutRequest(key=b"t/1", value=b"7777777"), "9 bytes of its quota of 5, 1 more")
    bounded.delete(b"t/1")
    bounded.put(b"t/5", b"v")


def test_a_txn_is_judged_by_its_dearer_branch(bounded: Applied) -> None:
    """All of its puts together, those of txns inside too, before any of them."""

    def put(key: bytes, value: bytes) -> RequestOp:
        return RequestOp(request_put=PutRequest(key=key, value=value))

    small = [put(b"t/2", b"")]
    large = [put(b"t/2", b"12"), put(b"t/3", b"")]
    refused(bounded, TxnRequest(success=large), "8 more do not fit")
    refused(bounded, TxnRequest(success=small, failure=large), "8 more do not fit")
    inside = RequestOp(request_txn=TxnRequest(failure=large))
    compare = [Compare(key=b"t/1", target=Compare.VERSION, version=7)]
    refused(bounded, TxnRequest(compare=compare, success=small, failure=[inside]), "8 more")
    bounded.txn(TxnRequest(success=small, failure=[put(b"t/2", b"123")]))


def test_each_prefix_that_a_key_has_counts(bounded: Applied) -> None:
    """The narrowest bound decides, whichever it is."""
    set_quota(bounded, b"t/a/", 1_000, 1)
    bounded.put(b"t/a/1")
    refused(bounded, PutRequest(key=b"t/a/2"), "the prefix t/ holds 9 bytes")
    set_quota(bounded, b"t/", 100)
    refused(bounded, PutRequest(key=b"t/a/2"), "the prefix t/a/ holds 1 keys")


def test_without_bounds_it_is_gone(bounded: Applied) -> None:
    """And what there is not cannot be removed."""
    assert isinstance(set_quota(bounded, b"t/"), bytes)
    bounded.put(b"t/1", b"v" * 100)
    assert isinstance(set_quota(bounded, b"t/"), InvalidRequest)


def test_at_level_0_there_are_none(bounded: Applied) -> None:
    """A downgrade drops them with its first entry: 0.1 writes without counting."""
    set_level(bounded, 0)
    bounded.put(b"t/1", b"v" * 100)
    assert not bounded.store.prefix_quotas.rows()
    assert isinstance(set_quota(bounded, b"t/", 10), Unavailable)


@pytest.mark.parametrize("tail", [b"\x0a\x03t/2", b"\x12\x00\x0a\x03t/2", b"\x0a"])
def test_a_key_that_is_given_twice_is_the_second(bounded: Applied, tail: bytes) -> None:
    """As protobuf reads it: nobody gets in by naming another prefix first."""
    payload = PutRequest(key=b"elsewhere", value=b"").SerializeToString() + tail
    if len(tail) > 1:
        payload += b"\x12\x08" + b"v" * 8
    outcome = ask(bounded, RequestKind.PUT, payload)
    assert isinstance(outcome, PrefixFull if len(tail) > 1 else MalformedRequest), outcome
