"""The run's own time, which begins near 0.

Owns: the way from the history's clock, whose zero means nothing, to the page's. Must never do:
stretch or reorder.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from jepsen_like.history.history import History

# A clock whose first record is this early, as a share of the run, began with the run.
EARLY_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Clock:
    origin_s: float
    span_s: float

    @classmethod
    def of(cls, history: History) -> Clock:
        """A clock that began with the run is kept, so that the page's times are those of the file
        and of the checkers' reasons; any other begins at the first record."""
        times = [at_s for at_s in _times(history) if math.isfinite(at_s)]
        first_s, last_s = min(times, default=0.0), max(times, default=0.0)
        origin_s = 0.0 if 0 <= first_s <= EARLY_SHARE * last_s else first_s
        return cls(origin_s, last_s - origin_s)

    def second(self, at_s: float) -> float:
        """Since the begin; what never ended, or is not of this run, is held at the edge."""
        return min(max(at_s - self.origin_s, 0.0), self.span_s)

    def micros(self, at_s: float) -> int:
        return round(self.second(at_s) * 1e6)

    def words(self, at_s: float) -> str:
        return f"{self.second(at_s):.3f} s"


def _times(history: History) -> Iterator[float]:
    for operation in history.operations:
        yield operation.called_s
        yield operation.returned_s
    for fault in history.faults:
        yield fault.began_s
        yield fault.ended_s
    for watch in history.watches:
        yield watch.opened_s
        yield watch.closed_s
        yield from (response.at_s for response in watch.responses)
