"""A session written as a generator: it yields what to ask and is sent what came of it.

Owns: Scripted, and the ids of leases. For clients with a plan of several steps (take a lock, use
it, let go) the plan reads from top to bottom.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from jepsen_like.history.operation import Operation
from jepsen_like.history.result import Outcome
from jepsen_like.workloads.session import Step

_Returned = TypeVar("_Returned")
Plan = Generator[Step, Operation | None, _Returned]
Script = Plan[None]
_LEASES_PER_PROCESS = 1_000_000


class Scripted:
    """``script`` never ends."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._started = False

    def next(self, last: Operation | None) -> Step:
        if self._started:
            return self._script.send(last)
        self._started = True
        return next(self._script)


def lease_id(process: int, number: int) -> int:
    """The ``number``-th lease of ``process``."""
    return (process + 1) * _LEASES_PER_PROCESS + number


def outcome(last: Operation | None) -> Outcome | None:
    return None if last is None else last.outcome
