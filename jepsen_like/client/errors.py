"""Which errors say that nothing happened, and which leave it open.

Owns: the judgement, from the gRPC status alone. Must never do: hope: what is not known to be
decided before anything was proposed is Unknown.
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

_NOTHING_HAPPENED = frozenset(
    {
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "UNAUTHENTICATED",
    }
)


def outcome_of(code: str, text: str) -> Refused | Unknown:
    """``code`` is gRPC's name of it."""
    return Refused(code, text) if code in _NOTHING_HAPPENED else Unknown(code, text)
