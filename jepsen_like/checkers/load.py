"""Whether a run did enough to prove anything.

Owns: the two minimums. A quiet history is linearizable, and proves nothing (etcd's robustness
tests fail a run below its minimum rate for the same reason).
"""

from __future__ import annotations

from jepsen_like.checkers.verdict import Verdict, judge
from jepsen_like.history.history import History

OPERATIONS_MIN = 100
EVENTS_MIN = 100


def operations(history: History, minimum: int = OPERATIONS_MIN) -> Verdict:
    """UNKNOWN with fewer than ``minimum`` answered operations."""
    return judge("load", len(history.answered), "answered operations", (), minimum=minimum)


def events(history: History, minimum: int = EVENTS_MIN) -> Verdict:
    """UNKNOWN with fewer than ``minimum`` watched events."""
    responses = [response for watch in history.watches for response in watch.responses]
    count = sum(len(response.events) for response in responses)
    return judge("watch load", count, "watched events", (), minimum=minimum)
