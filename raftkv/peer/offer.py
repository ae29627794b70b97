"""What a member says of the level that it can, and that it wants (``raftkv.apply.level``).

Owns: the header of GET /members that carries it. Must never do: judge. A member of 0.1 says
nothing, and that is level 0.
"""

from __future__ import annotations

from typing import Final, NamedTuple

HEADER: Final = "X-Raftkv-Level"


class Offer(NamedTuple):
    """``known``: what its version can apply. ``offered``: what it agrees to; less than it knows
    while it is about to be replaced by an older version. ``current``: the cluster's, as far as
    it has applied."""

    known: int = 0
    offered: int = 0
    current: int = 0

    def encode(self) -> str:
        return " ".join(map(str, self))

    @staticmethod
    def decode(text: str) -> Offer:
        """Of the header's value. What makes no sense offers nothing, like silence."""
        words = text.split()
        if len(words) != len(Offer._fields) or not all(word.isdecimal() for word in words):
            return Offer()
        return Offer(*map(int, words))


SILENCE: Final = Offer()
