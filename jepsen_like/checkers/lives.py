"""When each lease may have lived.

Owns: Lives, every grant that may have happened and every revoke that did. An id that was granted
more than once has no known end: the end of one life is the beginning of another.
"""

from __future__ import annotations

from collections import defaultdict

from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Grant, Revoke
from jepsen_like.history.result import Granted, Refused, Revoked


class Lives:
    def __init__(self, history: History) -> None:
        self._grants: dict[int, list[Operation]] = defaultdict(list)
        self._revokes: dict[int, list[tuple[int, Operation]]] = defaultdict(list)
        for operation in history.operations:
            request, outcome = operation.request, operation.outcome
            if isinstance(request, Grant) and not isinstance(outcome, Refused):
                self._grants[request.id].append(operation)
            elif isinstance(request, Revoke) and isinstance(outcome, Revoked):
                self._revokes[request.id].append((outcome.revision, operation))

    def once(self, lease: int) -> bool:
        return len(self._grants.get(lease, ())) < 2

    def granted(self, lease: int, before_s: float, revision: int) -> bool:
        """Whether a grant may stand before what happened by ``before_s`` and after ``revision``."""
        return any(
            grant.called_s < before_s
            and (not isinstance(grant.outcome, Granted) or grant.outcome.revision <= revision)
            for grant in self._grants.get(lease, ())
        )

    def ended(self, lease: int, revision: int) -> Operation | None:
        """The revoke before ``revision``."""
        revokes = self._revokes.get(lease, ()) if self.once(lease) else ()
        return next((operation for header, operation in revokes if header < revision), None)

    def first_revoke(self, lease: int) -> Operation | None:
        revokes = self._revokes.get(lease, ()) if self.once(lease) else ()
        return next((operation for _, operation in revokes), None)
