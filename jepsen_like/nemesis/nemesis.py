"""What to break next, for how long, and when again: drawn from a seed.

Owns: Plan and Nemesis. Must never do: wait, or break anything; the Injector does. The kinds of a
nemesis come in a mixed order, each once before any comes again, so that a short run has them all;
at most ``overlap`` are under way together, and of one kind one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.nemesis.disruption import Disruption, name_of
from jepsen_like.nemesis.draws import Draw, View

HOLD_MIN_S, HOLD_MAX_S = 0.5, 4.0
CALM_S = (0.3, 2.0)


@dataclass(frozen=True, slots=True)
class Plan:
    disruption: Disruption
    hold_s: float


class Nemesis:
    """``draw`` is asked when the last calm is over. ``needs`` is what the members' program or this
    machine must have; ``hold_max_s`` bounds how long one disruption lasts."""

    def __init__(
        self,
        name: str,
        kinds: Sequence[Draw],
        *,
        overlap: int = 1,
        needs: frozenset[str] = frozenset(),
        hold_max_s: float = HOLD_MAX_S,
    ) -> None:
        self.name = name
        self.needs = needs
        self._hold_s = (min(HOLD_MIN_S, hold_max_s), hold_max_s)
        self.overlap = overlap
        self._kinds = tuple(kinds)
        self._left: list[Draw] = []

    def draw(self, random: Random, view: View) -> Plan | None:
        """None when there is enough under way, or nothing that could be broken."""
        if not self._kinds or len(view.under_way) >= self.overlap:
            return None
        if not self._left:
            self._left = random.sample(self._kinds, len(self._kinds))
        disruption = self._left.pop()(random, view)
        if disruption is None or name_of(disruption) in map(name_of, view.under_way):
            return None
        return Plan(disruption, random.uniform(*self._hold_s))

    def calm_s(self, random: Random) -> float:
        """How long to wait before the next draw."""
        return random.uniform(*CALM_S)
