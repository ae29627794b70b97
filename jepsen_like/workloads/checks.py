"""How a workload is put together from sessions, final reads and checks.

Owns: Check, and Assembled, the one implementation of Workload: all that differs between workloads
is data. Must never do: call a run valid without a check: no verdict at all is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.checkers.verdict import Verdict
from jepsen_like.history.history import History
from jepsen_like.history.request import Request
from jepsen_like.workloads.session import Session

Check = Callable[[History], Verdict]


@dataclass(slots=True)
class Assembled:
    """``make_session`` is called once per client."""

    name: str
    needs: frozenset[str]
    make_session: Callable[[int, Random], Session]
    final_requests: tuple[Request, ...]
    checks: tuple[Check, ...]

    def session(self, process: int, random: Random) -> Session:
        return self.make_session(process, random)

    def final(self) -> Sequence[Request]:
        return self.final_requests

    def check(self, history: History) -> list[Verdict]:
        return [check(history) for check in self.checks]
