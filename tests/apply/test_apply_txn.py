"""A txn's statements in etcd's contract, one test each; the oracle has the combinations."""

from __future__ import annotations

import pytest
from applied_store import Applied, MakeApplied

from raftkv.api.rpc_pb2 import (
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from raftkv.apply.txn import is_read_only, is_serializable
from raftkv.errors import (
    Compacted,
    EmptyKey,
    FutureRevision,
    InvalidSortOption,
    KeyNotFound,
    LeaseNotFound,
)


def put(key: bytes, value: bytes = b"", **fields: object) -> RequestOp:
    return RequestOp(request_put=PutRequest(key=key, value=value, **fields))


def delete(key: bytes, **fields: object) -> RequestOp:
    return RequestOp(request_delete_range=DeleteRangeRequest(key=key, **fields))


def get(key: bytes, **fields: object) -> RequestOp:
    return RequestOp(request_range=RangeRequest(key=key, **fields))


def version_is(key: bytes, version: int, **fields: object) -> Compare:
    return Compare(
        key=key,
        target=Compare.VERSION,
        result=Compare.EQUAL,
        version=version,
        **fields,
    )


def test_all_writes_share_one_revision(applied: Applied) -> None:
    """Puts and a delete of one txn: one main revision for all, one step of the store's."""
    applied.put(b"z")
    response = applied.txn(TxnRequest(success=[put(b"a"), delete(b"z"), put(b"b")]))
    assert response.header.revision == 3
    assert [applied.store.get(k).mod_revision for k in (b"a", b"b")] == [3, 3]
    assert applied.store.current_revision == 3


def test_a_txn_that_changes_nothing_does_not_move_the_revision(applied: Applied) -> None:
    """Empty branches, and a delete of what is not there: the revision stays where it was."""
    applied.put(b"k")
    assert applied.txn(TxnRequest()).header.revision == 2
    response = applied.txn(TxnRequest(success=[delete(b"x"), get(b"k")]))
    assert response.header.revision == 2
    assert [op.response_delete_range.header.revision for op in response.responses[:1]] == [2]
    assert applied.store.current_revision == 2


def test_nested_headers_carry_a_revision_and_nothing_else(applied: Applied) -> None:
    """Only the outermost header is complete; that of a nested txn is an empty message."""
    response = applied.txn(
        TxnRequest(
            success=[
                get(b"k"),
                delete(b"none"),
                put(b"k"),
                get(b"k"),
                delete(b"none"),
                RequestOp(request_txn=TxnRequest(success=[get(b"k")])),
            ]
        )
    )
    first, missed, written, second, missed_later, nested = response.responses
    assert first.response_range.header.revision == 1
    assert missed.response_delete_range.header.revision == 1
    assert written.response_put.header.revision == 2
    assert second.response_range.header.revision == 2
    assert second.response_range.count == 1
    assert missed_later.response_delete_range.header.revision == 2
    assert nested.response_txn.HasField("header")
    assert not nested.response_txn.header.ListFields()
    for op in (first.response_range, written.response_put, missed.response_delete_range):
        assert op.header.cluster_id == op.header.member_id == op.header.raft_term == 0
    assert response.header.raft_term == 5


def test_nested_compares_see_the_state_before_the_txn(applied: Applied) -> None:
    """A nested compare on a key that an earlier operation puts: it still sees no key."""
    nested = TxnRequest(compare=[version_is(b"k", 0)], success=[put(b"seen", b"before")])
    response = applied.txn(TxnRequest(success=[put(b"k"), RequestOp(request_txn=nested)]))
    assert response.responses[1].response_txn.succeeded
    assert applied.store.get(b"seen") is not None


@pytest.mark.parametrize(
    ("op", "error"),
    [
        (put(b"b", lease=9), LeaseNotFound),
        (put(b"b", ignore_value=True), KeyNotFound),
        (put(b"b", ignore_lease=True), KeyNotFound),
        (get(b"a", revision=99), FutureRevision),
        (get(b"a", revision=3), Compacted),
        (get(b"a", revision=-1), Compacted),
        (get(b"a", sort_order=7), InvalidSortOption),
        (put(b""), EmptyKey),
        (delete(b""), EmptyKey),
        (RequestOp(), KeyNotFound),
    ],
)
@pytest.mark.parametrize("is_nested", [False, True])
def test_a_refused_txn_leaves_no_effect(
    applied: Applied, is_nested: bool, op: RequestOp, error: type[Exception]
) -> None:
    """The last of three operations is refused, on a member with and on one without a client that
    waits: the operations before it never happened."""
    for _ in range(4):
        applied.put(b"a", b"old")
    applied.compact(4)
    before = applied.store.hash_kv(0)
    if is_nested:
        op = RequestOp(request_txn=TxnRequest(success=[op]))
    request = TxnRequest(success=[put(b"a", b"new"), delete(b"c"), op])
    with pytest.raises(error):
        applied.txn(request)
    applied.outcomes(request, want_replies=False)  # as on a member that no client waits at
    assert applied.store.current_revision == 5
    assert applied.store.hash_kv(0) == before
    assert applied.put(b"a", b"next").header.revision == 6


def test_previous_values_are_shown_where_they_are_asked_for(applied: Applied) -> None:
    """prev_kv inside a txn, for a put and a delete, and left out without it."""
    for key in (b"a", b"b", b"c", b"d"):
        applied.put(key, key.upper())
    response = applied.txn(
        TxnRequest(
            success=[
                put(b"a", prev_kv=True),
                put(b"b"),
                delete(b"c", prev_kv=True),
                delete(b"d"),
            ]
        )
    )
    put_shown, put_quiet, delete_shown, delete_quiet = response.responses
    assert put_shown.response_put.prev_kv.value == b"A"
    assert not put_quiet.response_put.HasField("prev_kv")
    assert [kv.value for kv in delete_shown.response_delete_range.prev_kvs] == [b"C"]
    assert delete_quiet.response_delete_range.deleted == 1
    assert not delete_quiet.response_delete_range.prev_kvs


def test_only_the_branch_taken_is_checked(applied: Applied) -> None:
    """What would be refused in the branch not taken is not."""
    request = TxnRequest(
        compare=[version_is(b"k", 1)],
        success=[put(b"k", lease=9), get(b"k", revision=99)],
        failure=[put(b"k", b"v")],
    )
    assert not applied.txn(request).succeeded


def test_in_a_txn_a_missing_key_is_reported_before_a_missing_lease(applied: Applied) -> None:
    """etcd has the two checks in this order in a txn, and in the other order for a plain put."""
    op = PutRequest(key=b"none", lease=9, ignore_value=True)
    with pytest.raises(KeyNotFound):
        applied.txn(TxnRequest(success=[RequestOp(request_put=op)]))
    (outcome,) = applied.outcomes(op)
    assert isinstance(outcome, LeaseNotFound)


def test_in_a_txn_a_refused_put_is_reported_before_a_refused_range(applied: Applied) -> None:
    """etcd checks the puts of all branches taken first, wherever the range stands."""
    ops = [get(b"k", revision=99), put(b"none", ignore_lease=True)]
    for success in (ops, [nested(ops[:1]), ops[1]], [ops[0], nested(ops[1:])]):
        with pytest.raises(KeyNotFound):
            applied.txn(TxnRequest(success=success))


def nested(ops: list[RequestOp]) -> RequestOp:
    return RequestOp(request_txn=TxnRequest(success=ops))


def test_a_negative_revision_is_the_latest_until_something_is_compacted(applied: Applied) -> None:
    """etcd compares with the compacted revision, which is -1 at first; -2 is below even that."""
    applied.put(b"k")
    request = TxnRequest(success=[get(b"k", revision=-1)])
    assert applied.txn(request).responses[0].response_range.count == 1
    with pytest.raises(Compacted):
        applied.txn(TxnRequest(success=[get(b"k", revision=-2)]))


def test_a_put_after_a_from_key_delete_starts_anew(applied: Applied) -> None:
    """The one delete that may come before a put of its key: the put creates it again."""
    applied.put(b"k", b"old")
    applied.txn(TxnRequest(success=[delete(b"a", range_end=b"\0"), put(b"k", b"new")]))
    stored = applied.store.get(b"k")
    assert stored is not None
    assert (stored.create_revision, stored.mod_revision, stored.version) == (3, 3, 1)


def test_a_put_that_keeps_what_the_txn_deletes_is_refused(applied: Applied) -> None:
    """Where etcd panics: nothing is left to keep, so it is a missing key, and nothing happens."""
    applied.put(b"k", b"old")
    request = TxnRequest(success=[delete(b"a", range_end=b"\0"), put(b"k", ignore_value=True)])
    with pytest.raises(KeyNotFound):
        applied.txn(request)
    assert applied.store.current_revision == 2
    keeps_a_smaller_key = TxnRequest(
        success=[delete(b"l", range_end=b"\0"), put(b"k", ignore_value=True)]
    )
    assert applied.txn(keeps_a_smaller_key).header.revision == 3


@pytest.mark.parametrize("target", list(Compare.CompareTarget.values()))
@pytest.mark.parametrize("result", list(Compare.CompareResult.values()))
@pytest.mark.parametrize("operand", [0, 4, 5, 6])
def test_compares_of_each_target_and_result(
    make_applied: MakeApplied, target: int, result: int, operand: int
) -> None:
    """A stored 5 against operands on both sides of it; the stored side stands on the left."""
    applied = make_applied(frozenset({5}))
    for _ in range(3):
        applied.put(b"other")
    for _ in range(5):
        applied.put(b"k", b"\x05", lease=5)  # created at 5, version 5, modified at 9
    compare = Compare(key=b"k", target=target, result=result)
    stored = 9 if target == Compare.MOD else 5
    match target:
        case Compare.VERSION:
            compare.version = operand
        case Compare.CREATE:
            compare.create_revision = operand
        case Compare.MOD:
            operand += 4
            compare.mod_revision = operand
        case Compare.VALUE:
            compare.value = bytes((operand,))
        case Compare.LEASE:
            compare.lease = operand
    expected = {
        Compare.EQUAL: stored == operand,
        Compare.GREATER: stored > operand,
        Compare.LESS: stored < operand,
        Compare.NOT_EQUAL: stored != operand,
    }[result]
    assert applied.txn(TxnRequest(compare=[compare])).succeeded == expected


def test_compares_on_a_missing_key(applied: Applied) -> None:
    """All numbers are 0 on it, and no compare of its value holds, not even "not equal"."""
    assert applied.txn(TxnRequest(compare=[version_is(b"none", 0)])).succeeded
    for result in Compare.CompareResult.values():
        compare = Compare(key=b"none", target=Compare.VALUE, result=result, value=b"v")
        assert not applied.txn(TxnRequest(compare=[compare])).succeeded


def test_a_range_compare_holds_when_it_holds_for_every_key(applied: Applied) -> None:
    """One key of three differs: the compare fails, and holds again on the range without it."""
    for key in (b"a", b"b", b"b", b"c"):
        applied.put(key)
    assert not applied.txn(TxnRequest(compare=[version_is(b"a", 1, range_end=b"d")])).succeeded
    assert not applied.txn(TxnRequest(compare=[version_is(b"a", 1, range_end=b"\0")])).succeeded
    assert applied.txn(TxnRequest(compare=[version_is(b"c", 1, range_end=b"\0")])).succeeded
    assert applied.txn(TxnRequest(compare=[version_is(b"x", 0, range_end=b"z")])).succeeded


def test_an_operand_of_another_target_counts_as_zero(applied: Applied) -> None:
    """A mod_revision given to a compare of versions: the version is compared with 0."""
    applied.put(b"k")
    compare = Compare(key=b"k", target=Compare.VERSION, result=Compare.GREATER, mod_revision=9)
    assert applied.txn(TxnRequest(compare=[compare])).succeeded


def test_which_txns_are_read_only_and_which_serializable() -> None:
    """Ranges alone, in both branches; serializable when each is, or when there is none."""
    quick, exact = get(b"k", serializable=True), get(b"k")
    nested = RequestOp(request_txn=TxnRequest())
    assert is_read_only(TxnRequest(success=[quick], failure=[exact]))
    assert not is_read_only(TxnRequest(success=[quick], failure=[put(b"k")]))
    assert not is_read_only(TxnRequest(success=[delete(b"k")]))
    assert not is_read_only(TxnRequest(success=[nested]))
    assert is_serializable(TxnRequest(success=[quick], failure=[quick]))
    assert not is_serializable(TxnRequest(success=[quick], failure=[exact]))
    assert is_read_only(TxnRequest())
    assert is_serializable(TxnRequest(compare=[version_is(b"k", 0)]))
