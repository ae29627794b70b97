"""The few operations of a finding, placed side by side on an axis that shows their order.

Owns: the axis. A violation is a matter of order: what ended before what began. On a true time
axis, calls of milliseconds that lie seconds apart are all dots, so long gaps are shortened: order
is exact, equal times stay equal, and a longer gap never looks shorter than a shorter one. Must
never do: choose which operations show the violation (the checker did).
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from jepsen_like.history.operation import Operation

# Below this share of the whole, a gap is too narrow to see and the axis is no longer true.
VISIBLE_SHARE = 0.02
# Room before the first call and after the last end, so that both ends are seen as ends.
MARGIN_PERCENT = 3.0


@dataclass(frozen=True, slots=True)
class Axis:
    """``times_s`` rise, and ``percents`` with them."""

    times_s: tuple[float, ...]
    percents: tuple[float, ...]
    to_scale: bool

    def percent(self, at_s: float) -> float:
        """Where a time is drawn; between two known times in proportion, outside at the edge."""
        index = bisect.bisect_left(self.times_s, at_s)
        if index == len(self.times_s):
            return 100.0
        if self.times_s[index] == at_s:
            return self.percents[index]
        if index == 0:
            return 0.0
        before_s, after_s = self.times_s[index - 1], self.times_s[index]
        left, right = self.percents[index - 1], self.percents[index]
        return left + (right - left) * (at_s - before_s) / (after_s - before_s)


def axis(operations: Iterable[Operation]) -> Axis:
    """An axis on which every begin and end of these operations can be told apart."""
    times = {time for o in operations for time in (o.called_s, o.returned_s)}
    ends = sorted(time for time in times if math.isfinite(time))
    gaps = [after - before for before, after in itertools.pairwise(ends)]
    total = sum(gaps)
    to_scale = not gaps or min(gaps) >= VISIBLE_SHARE * total
    widths = gaps if to_scale else [1 + math.log10(gap / min(gaps)) for gap in gaps]
    room = 100 - 2 * MARGIN_PERCENT
    percents = [MARGIN_PERCENT]
    for width in widths:
        percents.append(percents[-1] + room * width / sum(widths))
    return Axis(tuple(ends), tuple(percents[: len(ends)]), to_scale)
