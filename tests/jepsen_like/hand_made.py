"""Histories written by hand, for checkers: the shortest words for an operation and its answer.

Owns: the builders. Must never do: fill in an answer that the test did not ask for.
"""

from __future__ import annotations

from jepsen_like.checkers.verdict import Validity, Verdict
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Request
from jepsen_like.history.result import Found, KeyValue, Outcome, Unknown

LOST = Unknown("DEADLINE_EXCEEDED", "no answer")


def call(
    called_s: float, request: Request, outcome: Outcome, *, process: int = 0, took_s: float = 0.5
) -> Operation:
    return Operation(process, "m0", called_s, called_s + took_s, request, outcome)


def kv(key: str, value: str = "v", mod: int = 2, created: int = 0, lease: int = 0) -> KeyValue:
    return KeyValue(key, value, created or mod, mod, 1, lease)


def found(*kvs: KeyValue, revision: int = 2) -> Found:
    return Found(revision, kvs, len(kvs))


def history(*operations: Operation) -> History:
    return History(operations=list(operations))


def reason(verdict: Verdict) -> str:
    """The one reason of an invalid verdict."""
    assert verdict.validity is Validity.INVALID, str(verdict)
    assert len(verdict.findings) == 1, str(verdict)
    return verdict.findings[0].reason
