"""etcdctl txn: the compares that it has, both branches, and the one revision of its writes."""

from __future__ import annotations

import grpc
import pytest

from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.etcdctl import Etcdctl


def script(compares: str, success: str, failure: str) -> str:
    """etcdctl's input: three blocks, each ended by an empty line."""
    return f"{compares}\n\n{success}\n\n{failure}\n\n"


def verdict(ctl: Etcdctl, compare: str) -> str:
    """SUCCESS or FAILURE of a transaction that only compares."""
    return ctl.ok("txn", stdin=script(compare, "", ""))[0]


def test_success_branch_runs(ctl: Etcdctl, prefix: str) -> None:
    """With all compares true the first branch runs, and each operation's answer is printed."""
    ctl.put(prefix + "k", "old")
    compares = f'value("{prefix}k") = "old"\nversion("{prefix}k") = "1"'
    ctl.put(prefix + "gone", "v")
    success = f"put {prefix}k new\nget {prefix}k\ndel {prefix}gone"
    printed = ctl.ok("txn", stdin=script(compares, success, f"put {prefix}other x"))
    assert [line for line in printed if line] == ["SUCCESS", "OK", prefix + "k", "new", "1"]
    assert ctl.keys(prefix, "--prefix") == [prefix + "k"]


def test_failure_branch_runs(ctl: Etcdctl, prefix: str) -> None:
    """One false compare of several is enough for the second branch, and only that one runs."""
    ctl.put(prefix + "k", "old")
    compares = f'version("{prefix}k") = "1"\nvalue("{prefix}k") = "other"'
    printed = ctl.ok(
        "txn", stdin=script(compares, f"put {prefix}k wrong", f"put {prefix}k right\nget {prefix}k")
    )
    assert [line for line in printed if line] == ["FAILURE", "OK", prefix + "k", "right"]


@pytest.mark.parametrize("target", ["value", "val", "version", "ver", "create", "c", "mod", "m"])
@pytest.mark.parametrize(
    ("operator", "below", "same", "above"),
    [("=", False, True, False), ("!=", True, False, True), ("<", False, False, True),
     (">", True, False, False)],
)  # fmt: skip
def test_compares(
    ctl: Etcdctl, prefix: str, target: str, operator: str, below: bool, same: bool, above: bool
) -> None:
    """Every target with every operator: the stored value is on the left of the operator."""
    key = prefix + "k"
    created = ctl.put(key, "5")
    stored = {"va": 5, "ve": 1, "c": created, "m": created}
    number = next(value for start, value in stored.items() if target.startswith(start))
    for given, expected in ((number - 1, below), (number, same), (number + 1, above)):
        compare = f'{target}("{key}") {operator} "{given}"'
        assert verdict(ctl, compare) == ("SUCCESS" if expected else "FAILURE"), compare


def test_compares_of_a_missing_key(ctl: Etcdctl, prefix: str) -> None:
    """A missing key counts as zero in its numbers, and its value is like nothing."""
    for target in ("version", "create", "mod"):
        assert verdict(ctl, f'{target}("{prefix}no") = "0"') == "SUCCESS"
        assert verdict(ctl, f'{target}("{prefix}no") > "0"') == "FAILURE"
    for operator in ("=", "!=", "<", ">"):
        assert verdict(ctl, f'value("{prefix}no") {operator} ""') == "FAILURE", operator


def test_lease_compare(api: Api, prefix: str) -> None:
    """A key without a lease has lease 0 (the lease compare of etcdctl 3.4 only panics)."""
    key = prefix.encode() + b"k"
    api.put(key, b"v")
    for result, expected in ((pb.Compare.EQUAL, True), (pb.Compare.GREATER, False)):
        compare = pb.Compare(key=key, target=pb.Compare.LEASE, result=result, lease=0)
        assert api.txn(compare=[compare]).succeeded is expected


def test_range_compare(api: Api, prefix: str) -> None:
    """A compare with a range_end holds when it holds for every key in the range."""
    key, end = prefix.encode(), prefix.encode()[:-1] + b"0"
    api.put(key + b"a", b"same")
    api.put(key + b"b", b"same")
    compare = pb.Compare(key=key, range_end=end, target=pb.Compare.VALUE, value=b"same")
    assert api.txn(compare=[compare]).succeeded
    api.put(key + b"c", b"other")
    assert not api.txn(compare=[compare]).succeeded


def test_empty_transaction_succeeds(ctl: Etcdctl) -> None:
    """No compare is a true one."""
    assert ctl.ok("txn", stdin="\n\n\n")[0] == "SUCCESS"


def test_interactive_prompts(ctl: Etcdctl, prefix: str) -> None:
    """-i asks for the three blocks by name."""
    printed = ctl.ok("txn", "-i", stdin=script("", f"put {prefix}k v", ""))
    assert printed[0] == "compares:"
    assert "SUCCESS" in printed


def test_writes_share_one_revision(api: Api, prefix: str) -> None:
    """All writes of a transaction have the same mod_revision, one above the last."""
    before = api.revision()
    puts = [
        pb.RequestOp(request_put=pb.PutRequest(key=prefix.encode() + name, value=b"v"))
        for name in (b"a", b"b", b"c")
    ]
    answer = api.txn(success=puts)
    assert (answer.succeeded, answer.header.revision) == (True, before + 1)
    rows = api.range(prefix.encode(), prefix.encode()[:-1] + b"0").kvs
    assert {row.mod_revision for row in rows} == {before + 1}


def test_nested_transaction(api: Api, prefix: str) -> None:
    """An inner transaction runs its own branch, in the outer one's revision."""
    key = prefix.encode() + b"k"
    inner = pb.TxnRequest(
        compare=[pb.Compare(key=key, target=pb.Compare.VERSION, version=7)],
        success=[pb.RequestOp(request_put=pb.PutRequest(key=key, value=b"wrong"))],
        failure=[pb.RequestOp(request_put=pb.PutRequest(key=key, value=b"inner"))],
    )
    answer = api.txn(success=[pb.RequestOp(request_txn=inner)])
    assert not answer.responses[0].response_txn.succeeded
    (row,) = api.range(key).kvs
    assert (row.value, row.mod_revision) == (b"inner", answer.header.revision)


@pytest.mark.parametrize(
    ("success", "message"),
    [
        ("put {0}k 1\nput {0}k 2", "duplicate key given in txn request"),
        ("put {0}k 1\ndel {0}k", "duplicate key given in txn request"),
    ],
)
def test_duplicate_keys_are_refused(ctl: Etcdctl, prefix: str, success: str, message: str) -> None:
    """One key is written once per transaction, and the refusal leaves no effect."""
    assert message in ctl.fails("txn", stdin=script("", success.format(prefix), ""))
    assert ctl.keys(prefix, "--prefix") == []


def test_operations_are_limited(api: Api, prefix: str) -> None:
    """128 operations pass and 129 do not."""
    ops = [
        pb.RequestOp(request_put=pb.PutRequest(key=f"{prefix}{n}".encode(), value=b"v"))
        for n in range(129)
    ]
    assert api.txn(success=ops[:128]).succeeded
    with pytest.raises(grpc.RpcError) as refused:
        api.txn(success=ops)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "etcdserver: too many operations in txn request"


# etcd 3.4.23 applies the put on the member that was asked and on no other: the members then differ.
@pytest.mark.raftkv_only
def test_failed_transaction_has_no_effect(api: Api, prefix: str) -> None:
    """A range at a future revision fails the whole transaction, its puts too, on every member."""
    key = prefix.encode() + b"k"
    before = api.revision()
    ops = [
        pb.RequestOp(request_put=pb.PutRequest(key=key, value=b"v")),
        pb.RequestOp(request_range=pb.RangeRequest(key=key, revision=before + 100)),
    ]
    with pytest.raises(grpc.RpcError, match="required revision is a future revision"):
        api.txn(success=ops)
    assert api.revision() == before
    assert not api.range(key).kvs
