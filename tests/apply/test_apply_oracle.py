"""The applier against the dictionary model: every field of every reply, and every error."""

from __future__ import annotations

from typing import Any

from applied_store import CLUSTER_ID, MEMBER_ID, TERM, Applied, MakeApplied
from apply_model import Model
from apply_strategies import LEASES, compactions, deletes, puts, ranges, txns
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raftkv.api.rpc_pb2 import (
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    DeleteRangeResponse,
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    PutRequest,
    PutResponse,
    RangeResponse,
    TxnRequest,
    TxnResponse,
)
from raftkv.apply.header import HeaderEncoder
from raftkv.apply.range import query_of
from raftkv.apply.reply import range_reply
from raftkv.apply.txn import is_read_only, read_txn
from raftkv.apply.txn_check import check_txn
from raftkv.errors import Compacted, InvalidRequest, RaftKVError

ANY_STORE = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def passes_check(request: TxnRequest) -> bool:
    """Only what rpc lets through reaches the applier."""
    try:
        check_txn(request, 128)
    except InvalidRequest:
        return False
    return True


lease_requests = st.one_of(
    st.builds(LeaseGrantRequest, ID=st.sampled_from((7, 8, 9)), TTL=st.integers(1, 9)),
    st.builds(LeaseRevokeRequest, ID=st.sampled_from((7, 8, 9))),
)
writes = st.one_of(
    puts(), puts(), deletes, txns().filter(passes_check), compactions, lease_requests
)
batches = st.lists(st.lists(writes, min_size=1, max_size=6), min_size=1, max_size=5)

MODELLED: dict[type[Message], tuple[type[Message], str]] = {
    PutRequest: (PutResponse, "apply_put"),
    DeleteRangeRequest: (DeleteRangeResponse, "apply_delete"),
    TxnRequest: (TxnResponse, "apply_txn"),
    CompactionRequest: (CompactionResponse, "apply_compact"),
    LeaseGrantRequest: (LeaseGrantResponse, "apply_grant"),
    LeaseRevokeRequest: (LeaseRevokeResponse, "apply_revoke"),
}


def with_ids(response: Any) -> Any:
    response.header.cluster_id = CLUSTER_ID
    response.header.member_id = MEMBER_ID
    response.header.raft_term = TERM
    return response


def expect(model: Model, request: Message) -> Message | RaftKVError:
    try:
        return with_ids(getattr(model, MODELLED[type(request)][1])(request))
    except RaftKVError as error:
        return error


def assert_same(outcome: bytes | RaftKVError, expected: Message | RaftKVError) -> None:
    if isinstance(outcome, RaftKVError) or isinstance(expected, RaftKVError):
        assert type(outcome) is type(expected), (outcome, expected)
        if isinstance(outcome, Compacted) and isinstance(expected, Compacted):
            assert outcome.compact_revision == expected.compact_revision
        return
    assert type(expected).FromString(outcome) == expected


def assert_same_state(applied: Applied, model: Model) -> None:
    everything = applied.store.current_revision
    assert everything == model.revision
    assert applied.store.compact_revision == model.compacted
    assert {lease.id for lease in applied.leases.leases} == model.leases
    for lease in model.leases:
        assert applied.leases.keys(lease) == model.keys_on(lease)
    for key in model.history:
        stored, kept = applied.store.get(key), model.at(key, model.revision)
        if stored is None or kept is None:
            assert (stored, kept) == (None, None), key
            continue
        for name in ("key", "value", "version", "create_revision", "mod_revision", "lease"):
            assert getattr(stored, name) == getattr(kept, name), (key, name)


@ANY_STORE
@given(batches=batches)
def test_replies_and_state_equal_the_models(
    make_applied: MakeApplied, batches: list[list[Message]]
) -> None:
    """Random batches of all kinds: each outcome is the model's, and so is the state at the end."""
    applied, model = make_applied(LEASES), Model(LEASES)
    for requests in batches:
        for request, outcome in zip(requests, applied.outcomes(*requests), strict=True):
            assert_same(outcome, expect(model, request))
    assert_same_state(applied, model)


@ANY_STORE
@given(batches=batches)
def test_a_member_without_clients_gets_the_same_state(
    make_applied: MakeApplied, batches: list[list[Message]]
) -> None:
    """The same entries on a member that replies and on one that does not: equal hashes."""
    asked, unasked = make_applied(LEASES), make_applied(LEASES)
    for requests in batches:
        asked.outcomes(*requests)
        unasked.outcomes(*requests, want_replies=False)
    assert asked.store.hash_kv(0) == unasked.store.hash_kv(0)


@ANY_STORE
@given(before=st.lists(writes, max_size=8), txn=txns(0).filter(passes_check))
def test_a_read_only_txn_answers_as_it_would_through_the_log(
    make_applied: MakeApplied, before: list[Message], txn: TxnRequest
) -> None:
    """Drop the writes of a txn, read it outside the log: the reply or error is the model's."""
    for ops in (txn.success, txn.failure):
        kept = [op for op in ops if op.HasField("request_range")]
        del ops[:]
        ops.extend(kept)
    assert is_read_only(txn)
    applied, model = make_applied(LEASES), Model(LEASES)
    if before:
        applied.outcomes(*before)
        for request in before:
            expect(model, request)
    outcome: bytes | RaftKVError
    try:
        header = HeaderEncoder(CLUSTER_ID, MEMBER_ID, TERM)
        outcome = read_txn(txn, applied.store, header)
    except RaftKVError as error:
        outcome = error
    assert_same(outcome, expect(model, txn))


@ANY_STORE
@given(before=st.lists(writes, max_size=8), request=ranges)
def test_a_range_reply_decodes_to_the_models(
    make_applied: MakeApplied, before: list[Message], request: Any
) -> None:
    """A range of the latest revision after random writes, as the KV service encodes it."""
    request.revision = 0
    applied, model = make_applied(LEASES), Model(LEASES)
    if before:
        applied.outcomes(*before)
        for write in before:
            expect(model, write)
    result = applied.store.range(query_of(request))
    reply = range_reply(HeaderEncoder(CLUSTER_ID, MEMBER_ID, TERM).field(result.revision), result)
    assert RangeResponse.FromString(reply) == with_ids(model.range(request, model.revision))
