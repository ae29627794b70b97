"""The seam between what clients do and how it travels.

A workload is pure: it makes sessions, one per client, and a session says what to ask next from
what was answered last. The same workload drives simulated members and real processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from jepsen_like.checkers.verdict import Verdict
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Request


@dataclass(frozen=True, slots=True)
class OpenWatch:
    """Watch until ``events_max`` events or ``for_s`` seconds, whichever is first; the driver then
    closes it and asks for the next step with ``last`` None."""

    key: str
    end: str = ""
    start_revision: int = 0
    prev_kv: bool = False
    progress: bool = True  # ask for progress notifications now and then
    for_s: float = 2.0
    events_max: int = 1000


Step = Request | OpenWatch


class Session(Protocol):
    """One client. ``last`` is its previous operation, None at first and after a watch."""

    def next(self, last: Operation | None) -> Step: ...


class Workload(Protocol):
    """``name`` is what --workload takes; ``needs``: of "kv", "watch", "lease", "lock"."""

    name: str
    needs: frozenset[str]

    def session(self, process: int, random: Random) -> Session: ...

    def final(self) -> Sequence[Request]:
        """What one client asks after everything healed, until each is answered."""

    def check(self, history: History) -> list[Verdict]: ...
