"""A whole run: what every client did and saw, what was broken when, and what was left.

Owns: History. Must never do: judge.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jepsen_like.history.operation import Fault, MemberState, Operation, Watch
from jepsen_like.history.request import Request, writes
from jepsen_like.history.result import Refused, Unknown


@dataclass(slots=True)
class History:
    """``settings`` is what the run was started with, for people and for ``replay``."""

    settings: dict[str, str | int | float | bool] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    finals: list[MemberState] = field(default_factory=list)

    @property
    def answered(self) -> list[Operation]:
        """Operations that got an answer, not an error."""
        return [o for o in self.operations if not isinstance(o.outcome, Refused | Unknown)]

    @property
    def unknown_writes(self) -> list[Operation]:
        """Writes that may have happened."""
        return [o for o in self.operations if isinstance(o.outcome, Unknown) and writes(o.request)]

    def requests(self, kind: type[Request]) -> list[Operation]:
        return [o for o in self.operations if isinstance(o.request, kind)]
