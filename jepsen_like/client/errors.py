"""What an error says of the request: nothing happened, or nobody knows.

Owns: the texts that are proof. Must never do: take a code for proof. A put that a member answers
with "database space exceeded" may be applied (etcd's apply step adds that error after the write),
so it stands here as unknown; the same code with another text is a refusal before the log. What is
not listed is unknown: a wrong Refused lets a checker blame a member that did right.
"""

from __future__ import annotations

from jepsen_like.history.result import Refused, Unknown

CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""gRPC's names of its codes, by number."""

_REFUSALS: dict[str, frozenset[str]] = {
    "INVALID_ARGUMENT": frozenset(
        {
            "etcdserver: key is not provided",
            "etcdserver: key not found",
            "etcdserver: value is provided",
            "etcdserver: lease is provided",
            "etcdserver: too many operations in txn request",
            "etcdserver: duplicate key given in txn request",
            "etcdserver: invalid sort option",
            "etcdserver: request is too large",
        }
    ),
    "OUT_OF_RANGE": frozenset(
        {
            "etcdserver: mvcc: required revision has been compacted",
            "etcdserver: mvcc: required revision is a future revision",
            "etcdserver: too large lease TTL",
        }
    ),
    "NOT_FOUND": frozenset({"etcdserver: requested lease not found"}),
    "FAILED_PRECONDITION": frozenset({"etcdserver: lease already exists"}),
    "RESOURCE_EXHAUSTED": frozenset({"etcdserver: too many requests"}),
    "UNKNOWN": frozenset({"etcdserver: too many requests"}),
}
"""By gRPC's code. etcd loses the code of its "too many requests" on the way out."""

_REFUSED_WHATEVER_THE_TEXT = frozenset({"UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED"})
"""No step that writes comes before those that answer with these."""

_NEVER_SENT = "failed to connect to all addresses"
"""What grpcio says, as UNAVAILABLE, of a call for which no connection could be made."""


def outcome_of(code: str, text: str) -> Refused | Unknown:
    """``code`` is gRPC's name of it."""
    if is_unreachable(code, text) or code in _REFUSED_WHATEVER_THE_TEXT:
        return Refused(code, text)
    if text in _REFUSALS.get(code, frozenset()):
        return Refused(code, text)
    return Unknown(code, text)


def is_unreachable(code: str, text: str) -> bool:
    """Whether no connection could be made, so that no byte of the request left."""
    return code == "UNAVAILABLE" and text.startswith(_NEVER_SENT)
