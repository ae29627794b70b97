"""An operation as the key operations it ran.

Owns: Part, and the two views that checkers need: what an answered operation did, and what an
unanswered one may have done. Must never do: guess which branch an unanswered txn took.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Delete, Get, KeyOp, Put, Request, Txn
from jepsen_like.history.result import Decided, Deleted, Found, KeyResult, Written


@dataclass(frozen=True, slots=True)
class Part:
    """``revision`` is the answer's; a write of the part, if it wrote, happened at it."""

    op: KeyOp
    result: KeyResult
    revision: int


def parts(operation: Operation) -> tuple[Part, ...]:
    """The plain call itself, or the branch that the txn took; none without an answer."""
    match operation.request, operation.outcome:
        case (Get() | Put() | Delete()) as op, (Found() | Written() | Deleted()) as result:
            return (Part(op, result, result.revision),)
        case Txn() as txn, Decided() as decided:
            branch = txn.success if decided.succeeded else txn.failure
            pairs = zip(branch, decided.results, strict=True)
            return tuple(Part(op, result, decided.revision) for op, result in pairs)
    return ()


def possible(request: Request) -> Iterator[KeyOp]:
    """Every key operation that the request may run, of both branches of a txn."""
    match request:
        case Get() | Put() | Delete():
            yield request
        case Txn():
            yield from request.success
            yield from request.failure
