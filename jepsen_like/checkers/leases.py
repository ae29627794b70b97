"""A key is only attached to a lease that lives: after its grant, before its end.

Owns: ``misused``. Must never do: judge whether a lease ran out early or late; that takes clocks.
Ids that were granted more than once are only asked for a grant, since the end of one life is the
beginning of another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from jepsen_like.checkers.answers import describe
from jepsen_like.checkers.evidence import Evidence, made_puts
from jepsen_like.checkers.verdict import Finding
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Grant, Revoke
from jepsen_like.history.result import Granted, Refused, Revoked, Unknown


class Lives:
    """Every grant that may have happened, and every revoke that did."""

    def __init__(self, history: History, evidence: Evidence) -> None:
        self._evidence = evidence
        self.grants: dict[int, list[Operation]] = defaultdict(list)
        self.revokes: dict[int, list[Operation]] = defaultdict(list)
        for operation in history.operations:
            request, outcome = operation.request, operation.outcome
            if isinstance(request, Grant) and not isinstance(outcome, Refused):
                self.grants[request.id].append(operation)
            elif isinstance(request, Revoke) and isinstance(outcome, Revoked):
                self.revokes[request.id].append(operation)

    def granted(self, lease: int, user: Operation, before: int) -> bool:
        """Whether a grant may stand before ``user``, and its header at most at ``before``."""
        latest_s = min(user.returned_s, self._evidence.deadline(before + 1))
        return any(
            grant.called_s < latest_s
            and (not isinstance(grant.outcome, Granted) or grant.outcome.revision <= before)
            for grant in self.grants.get(lease, ())
        )

    def ended(self, lease: int, revision: int) -> Operation | None:
        """The revoke before ``revision``, of a lease with one life."""
        if len(self.grants.get(lease, ())) > 1:
            return None
        return next((r for r in self.revokes.get(lease, ()) if _header(r) < revision), None)


def misused(history: History, evidence: Evidence) -> list[Finding]:
    lives = Lives(history, evidence)
    return [
        finding
        for operation in history.operations
        for finding in (*_attached(lives, operation), *_revoked(lives, operation))
    ]


def _attached(lives: Lives, operation: Operation) -> Iterator[Finding]:
    for put in made_puts(operation):
        if not put.lease:
            continue
        revision = _header(operation)
        if not lives.granted(put.lease, operation, revision - 1):
            yield _unknown(operation, put.lease)
        elif (end := lives.ended(put.lease, revision)) is not None:
            text = f"{describe(operation)} used lease {put.lease:x}, but {describe(end)} was before"
            yield Finding(text, (end, operation))


def _revoked(lives: Lives, operation: Operation) -> Iterator[Finding]:
    request = operation.request
    if not isinstance(request, Revoke) or not isinstance(operation.outcome, Revoked):
        return
    if not lives.granted(request.id, operation, _header(operation)):
        yield _unknown(operation, request.id)
    first = lives.revokes[request.id][0]
    if first is not operation and len(lives.grants[request.id]) == 1:
        text = f"{describe(operation)}: but {describe(first)} had ended the same lease"
        yield Finding(text, (first, operation))


def _unknown(operation: Operation, lease: int) -> Finding:
    return Finding(f"{describe(operation)}: no lease {lease:x} was granted by then", (operation,))


def _header(operation: Operation) -> int:
    outcome = operation.outcome
    assert not isinstance(outcome, Refused | Unknown), f"{operation} has no answer"
    return outcome.revision
