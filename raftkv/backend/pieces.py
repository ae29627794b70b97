"""How many rows are put together at a time, and where a bound on their bytes cuts them off.

Owns: that number, and ``up_to``. Must never do: know where rows come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

ROWS_PER_PIECE = 256
"""How many values ``Backend.joined`` puts together at a time."""


def up_to(bytes_max: int, values: Sequence[bytes | memoryview]) -> int:
    """How many are there up to the one with which there are ``bytes_max`` bytes."""
    if sum(map(len, values)) <= bytes_max:
        return len(values)
    ends = accumulate(map(len, values))
    return next(count for count, end in enumerate(ends, 1) if end >= bytes_max)
