"""A key is only attached to a lease that lives: after its grant, before its end.

Owns: ``misused``. Must never do: judge whether a lease ran out early or late; that takes clocks.
Ids that were granted more than once are only asked for a grant, since the end of one life is the
beginning of another.
"""

from __future__ import annotations

from collections.abc import Iterator

from jepsen_like.checkers.answers import describe
from jepsen_like.checkers.evidence import Evidence, made_puts
from jepsen_like.checkers.verdict import Finding
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Revoke
from jepsen_like.history.result import Refused, Revoked, Unknown


def misused(history: History, evidence: Evidence) -> list[Finding]:
    return [
        finding
        for operation in history.operations
        for finding in (*_attached(evidence, operation), *_revoked(evidence, operation))
    ]


def _attached(evidence: Evidence, operation: Operation) -> Iterator[Finding]:
    for put in made_puts(operation):
        if not put.lease:
            continue
        revision = _header(operation)
        if not _granted(evidence, put.lease, operation, revision - 1):
            yield _unknown(operation, put.lease)
        elif (end := evidence.lives.ended(put.lease, revision)) is not None:
            text = f"{describe(operation)} used lease {put.lease:x}, but {describe(end)} was before"
            yield Finding(text, (end, operation))


def _revoked(evidence: Evidence, operation: Operation) -> Iterator[Finding]:
    request = operation.request
    if not isinstance(request, Revoke) or not isinstance(operation.outcome, Revoked):
        return
    if not _granted(evidence, request.id, operation, _header(operation)):
        yield _unknown(operation, request.id)
    first = evidence.lives.first_revoke(request.id)
    if first is not None and first is not operation:
        text = f"{describe(operation)}: but {describe(first)} had ended the same lease"
        yield Finding(text, (first, operation))


def _granted(evidence: Evidence, lease: int, user: Operation, revision: int) -> bool:
    """Whether a grant may stand before ``user``, which found the store at ``revision``."""
    before_s = min(user.returned_s, evidence.deadline(revision + 1))
    return evidence.lives.granted(lease, before_s, revision)


def _unknown(operation: Operation, lease: int) -> Finding:
    return Finding(f"{describe(operation)}: no lease {lease:x} was granted by then", (operation,))


def _header(operation: Operation) -> int:
    outcome = operation.outcome
    assert not isinstance(outcome, Refused | Unknown), f"{operation} has no answer"
    return outcome.revision
