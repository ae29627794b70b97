"""Where raftkv, which follows etcd 3.7, and the etcd 3.5.1 that it is compared with may differ.

Owns: the whole list, each with its reason and a rule as narrow as it can be; docs/compatibility.md
has the same list for readers. Must never do: cover what raftkv does wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tests.differential.operations import Fields, Operation, Unary
from tests.differential.store import Outcome

UNMARSHAL_PREFIX = "grpc: error unmarshalling request: "
SORT_BY_VALUE = 4
SORT_ORDERS = (0, 1, 2)


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
)


def expected(operation: Operation, ours: Outcome, theirs: Outcome) -> Outcome:
    """What raftkv should answer, given what etcd 3.5.1 answers."""
    for known in KNOWN:
        theirs = known.expected(operation, ours, theirs)
    return theirs
