"""Where raftkv, which follows etcd 3.7, and the etcd 3.5.1 that it is compared with may differ.

Owns: the whole list, each with its reason and a rule as narrow as it can be; docs/compatibility.md
has the same list for readers. Must never do: cover what raftkv does wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tests.differential.operations import Fields, KeepAlive, Operation, Unary, WatchOnce
from tests.differential.store import Outcome

UNMARSHAL_PREFIX = "grpc: error unmarshalling request: "
SORT_BY_VALUE = 4
SORT_ORDERS = (0, 1, 2)
GET_ALARMS = 0
CHANGING = (
    "KV/Txn", "KV/Compact", "Lease/LeaseGrant", "Lease/LeaseRevoke", "Auth/RoleGrantPermission",
)  # fmt: skip

DENIED = Outcome(code="PERMISSION_DENIED", text="etcdserver: permission denied")
NOBODY = Outcome(code="INVALID_ARGUMENT", text="etcdserver: user name is empty")
VOID_TOKEN = Outcome(code="UNAUTHENTICATED", text="etcdserver: invalid auth token")
BAD_MANAGEMENT = Outcome(code="INVALID_ARGUMENT", text="etcdserver: invalid auth management")
WATCH_REFUSED = "rpc error: code = {} desc = {}"
BARE = {
    "auth: permission denied": DENIED,
    "auth: user name is empty": NOBODY,
    "auth: invalid auth token": VOID_TOKEN,
}


@dataclass(frozen=True)
class KnownDifference:
    """``expected`` (operation, ours, theirs) gives what raftkv should answer where etcd 3.5.1
    answers ``theirs``: the same where the difference is no matter."""

    name: str
    reason: str
    expected: Callable[[Operation, Outcome, Outcome], Outcome]


def _unmarshal_text(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    both = (ours.text, theirs.text)
    if all(text.startswith(UNMARSHAL_PREFIX) for text in both):
        return replace(theirs, text=ours.text)
    return theirs


def _unknown_sort_order(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    if (
        isinstance(operation, Unary)
        and operation.fields.get("sort_order", 0) not in SORT_ORDERS
        and operation.method == "KV/Range"
        and theirs.code == "OK"
        and ours.code in ("INVALID_ARGUMENT", "400/3")
    ):
        return Outcome(code=ours.code, text="etcdserver: invalid sort option")
    return theirs


def _keys_only_lease(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    if not isinstance(operation, Unary) or theirs.fields is None:
        return theirs
    asked = _ranges_answered(operation.method, operation.fields, theirs.fields)
    for request, response in asked:
        if request.get("keys_only") and request.get("sort_target") != SORT_BY_VALUE:
            for row in response.get("kvs", ()):
                row.pop("lease", None)
    return theirs


def _ranges_answered(
    method: str, request: Fields, response: Fields
) -> Iterator[tuple[Fields, Fields]]:
    """Every range of a call with its answer, in nested transactions too."""
    if method == "KV/Range":
        yield request, response
    if method == "KV/Txn":
        branch = request.get("success" if response.get("succeeded") else "failure", [])
        for each, answer in zip(branch, response.get("responses", []), strict=True):
            if "request_range" in each:
                yield each["request_range"], answer["response_range"]
            if "request_txn" in each:
                yield from _ranges_answered(method, each["request_txn"], answer["response_txn"])


def _bare_text(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    if isinstance(operation, Unary) and operation.method.startswith("Maintenance/"):
        return BARE.get(theirs.text, theirs)
    return theirs


def _is_by_root(operation: Unary | KeepAlive) -> bool:
    return operation.caller in ("root", "old root")


def _only_root(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    """Who has the role root is known to the stores alone; the user root has it."""
    if not isinstance(operation, Unary) or _is_by_root(operation):
        return theirs
    is_for_root = operation.method == "KV/Compact" or (
        operation.method == "Maintenance/Alarm" and operation.fields["action"] != GET_ALARMS
    )
    refusal = DENIED if operation.caller else NOBODY
    return ours if is_for_root and theirs not in BARE.values() and ours == refusal else theirs


def _only_users(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    methods = ("Cluster/MemberList", "Maintenance/Status", "Maintenance/Alarm")
    if not isinstance(operation, Unary) or operation.method not in methods:
        return theirs
    refusal = VOID_TOKEN if operation.caller else NOBODY
    return ours if theirs.code == "OK" and ours == refusal else theirs


def _lease_questions(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    methods = ("Lease/LeaseTimeToLive", "Lease/LeaseLeases")
    if not isinstance(operation, Unary) or operation.method not in methods or not theirs.fields:
        return theirs
    refusal = VOID_TOKEN if operation.caller else NOBODY
    tells_of_keys = theirs.fields.get("keys") or theirs.fields.get("leases")
    if ours == DENIED and tells_of_keys and not _is_by_root(operation):
        return ours
    return ours if ours == refusal else theirs


def _keep_alives(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    if not isinstance(operation, KeepAlive) or not theirs.fields:
        return theirs
    if ours == (VOID_TOKEN if operation.caller else NOBODY):
        return ours
    lives = any(each.get("TTL") for each in theirs.fields["answers"])
    return ours if ours == DENIED and lives and not _is_by_root(operation) else theirs


def _leases_of_nobody(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    methods = ("Lease/LeaseGrant", "Lease/LeaseRevoke")
    if isinstance(operation, Unary) and operation.method in methods and not operation.caller:
        return ours if ours == NOBODY else theirs
    return theirs


def _unchecked_in_txn(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    if (
        isinstance(operation, Unary)
        and operation.method == "KV/Txn"
        and ours == DENIED
        and theirs not in BARE.values()
        and not _is_by_root(operation)
        and _has_unchecked(operation.fields)
    ):
        return ours
    return theirs


def _has_unchecked(txn: Fields) -> bool:
    requests = [*txn.get("success", ()), *txn.get("failure", ())]
    return any("request_txn" in each or _asks_more(each) for each in requests)


def _asks_more(request: Fields) -> bool:
    put = request.get("request_put", {})
    return bool(put.get("prev_kv"))


def _watch_refusal(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    """The id, and why: 3.5.1 always says that it is a matter of permission."""
    if not isinstance(operation, WatchOnce) or ours.fields is None or theirs.fields is None:
        return theirs
    answers = [dict(each) for each in theirs.fields["answers"]]
    if answers[0].get("cancel_reason") != WATCH_REFUSED.format("PermissionDenied", DENIED.text):
        return theirs
    answers[0]["watch_id"] = -1
    reason = ours.fields["answers"][0].get("cancel_reason")
    if operation.caller and reason == WATCH_REFUSED.format("Unauthenticated", VOID_TOKEN.text):
        answers[0]["cancel_reason"] = reason
    if not operation.caller and reason == WATCH_REFUSED.format("InvalidArgument", NOBODY.text):
        answers[0]["cancel_reason"] = reason
    return replace(theirs, fields={"answers": answers})


def _open_status(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    if (
        isinstance(operation, Unary)
        and operation.method == "Auth/AuthStatus"
        and theirs in BARE.values()
        and ours.fields is not None
        and ours.fields.get("enabled")
    ):
        return ours
    return theirs


def _empty_permission(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    if not isinstance(operation, Unary) or operation.method != "Auth/RoleGrantPermission":
        return theirs
    given = operation.fields.get("perm", {"key": b"a"})
    key, end = given["key"], given.get("range_end", b"")
    is_empty = not key or (end not in (b"", b"\0") and end <= key)
    return theirs if theirs in BARE.values() or not is_empty else BAD_MANAGEMENT


KNOWN = (
    KnownDifference(
        "unmarshal-text",
        "what is wrong with bytes that are no message is said in the protobuf library's words",
        _unmarshal_text,
    ),
    KnownDifference(
        "unknown-sort-order",
        "3.5.1 takes an unknown sort_order as none; later versions refuse it",
        _unknown_sort_order,
    ),
    KnownDifference(
        "keys-only-lease",
        "since 3.7 keys_only is served from the index, and the lease is then 0",
        _keys_only_lease,
    ),
    KnownDifference(
        "bare-auth-text",
        "3.5.1's Maintenance tells of tokens and permissions in the words of its insides",
        _bare_text,
    ),
    KnownDifference(
        "only-root",
        "later versions want the role root for Compact and for changing alarms",
        _only_root,
    ),
    KnownDifference(
        "only-users",
        "later versions want a user for members, status and alarms, if not an admin",
        _only_users,
    ),
    KnownDifference(
        "lease-questions",
        "3.5.1 answers everybody about leases and their keys; later versions want leave to read",
        _lease_questions,
    ),
    KnownDifference(
        "keep-alives",
        "3.5.1 lets everybody keep a lease alive; later versions want leave to write its keys",
        _keep_alives,
    ),
    KnownDifference(
        "leases-of-nobody",
        "3.5.1 lets callers without a token grant leases, and revoke those without keys",
        _leases_of_nobody,
    ),
    KnownDifference(
        "unchecked-in-txn",
        "3.5.1 does not look into nested txns, nor at prev_kv of a put; fixed in 3.6.9 and 3.6.11",
        _unchecked_in_txn,
    ),
    KnownDifference(
        "watch-refusal",
        "later versions refuse a watch with the id -1, and say if the token is the reason",
        _watch_refusal,
    ),
    KnownDifference(
        "open-auth-status",
        "since 3.7 AuthStatus needs no login",
        _open_status,
    ),
    KnownDifference(
        "permission-for-no-key",
        "3.5.1 takes a permission for no key, or one that ends before it begins",
        _empty_permission,
    ),
)


def parts(operation: Operation, ours: Outcome, theirs: Outcome) -> bool:
    """Whether a known difference has one store change what the other does not."""
    return (
        isinstance(operation, Unary)
        and operation.method in CHANGING
        and ours.code != theirs.code
        and expected(operation, ours, theirs) == ours
    )


def expected(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    """What raftkv should answer, given what etcd 3.5.1 answers."""
    for known in KNOWN:
        theirs = known.expected(operation, ours, theirs)
    return theirs
