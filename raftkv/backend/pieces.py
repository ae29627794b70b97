"""How many rows are put together at a time, and where a bound on their bytes cuts them off.

Owns: that number, and ``up_to``. Must never do: know where rows come from.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TypeVar

ROWS_PER_PIECE = 256
"""How many values ``Backend.joined`` puts together at a time."""

V = TypeVar("V", bytes, memoryview)


def up_to(bytes_max: int, values: list[V]) -> list[V]:
    """The first ones, up to the one with which there are ``bytes_max`` bytes."""
    if sum(map(len, values)) <= bytes_max:
        return values
    ends = accumulate(map(len, values))
    return values[: next(count for count, end in enumerate(ends, 1) if end >= bytes_max)]
