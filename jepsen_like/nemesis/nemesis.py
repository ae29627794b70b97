"""What to break next, for how long, and when again: drawn from a seed.

Owns: View, Plan and Nemesis. Must never do: wait, or break anything; the Injector does. The kinds
of a nemesis come in a mixed order, each once before any comes again, so that a short run has them
all; at most ``overlap`` are under way together, and of one kind one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from jepsen_like.nemesis.disruption import (
    Compactions,
    Cut,
    Disruption,
    Kill,
    Pause,
    Slow,
    SlowReaders,
    name_of,
)
from jepsen_like.nemesis.shapes import draw_shape

HOLD_S = (0.5, 4.0)
CALM_S = (0.3, 2.0)
DELAYS_S = (0.01, 0.05, 0.2, 0.5)


@dataclass(frozen=True, slots=True)
class View:
    """What a nemesis may know. ``down`` are those that are killed or paused now."""

    members: tuple[str, ...]
    leader: str | None = None
    down: frozenset[str] = frozenset()
    under_way: tuple[Disruption, ...] = ()

    @property
    def up(self) -> list[str]:
        return [member for member in self.members if member not in self.down]


@dataclass(frozen=True, slots=True)
class Plan:
    disruption: Disruption
    hold_s: float


Draw = Callable[[Random, View], Disruption | None]
"""None where nothing of the kind can be broken now."""


def draw_kill(random: Random, view: View) -> Disruption | None:
    choice, members = _draw_members(random, view)
    return Kill(choice, members) if members else None


def draw_pause(random: Random, view: View) -> Disruption | None:
    choice, members = _draw_members(random, view)
    return Pause(choice, members) if members else None


def draw_partition(random: Random, view: View) -> Disruption | None:
    if len(view.members) < 2:
        return None
    shape, pairs = draw_shape(random, view.members, view.leader)
    return Cut(shape, pairs, resets=random.random() < 0.5)


def draw_slow_link(random: Random, view: View) -> Disruption | None:
    if len(view.members) < 2:
        return None
    shape, pairs = draw_shape(random, view.members, view.leader)
    return Slow(shape, pairs, random.choice(DELAYS_S))


def draw_compaction(random: Random, view: View) -> Disruption | None:
    return Compactions(random.choice((0.05, 0.1, 0.2)), random.choice((0, 5, 100)))


def draw_slow_reader(random: Random, view: View) -> Disruption | None:
    return SlowReaders(random.choice(view.up), random.randint(1, 20)) if view.up else None


def _draw_members(random: Random, view: View) -> tuple[str, tuple[str, ...]]:
    """Of those that are up: one, the leader, a minority, a majority, or all."""
    up, size = view.up, len(view.members)
    if not up:
        return "none", ()
    choice = random.choice(("one", "leader", "leader", "minority", "majority", "all"))
    if choice == "leader" and view.leader in up:
        return choice, (view.leader,)
    number = {"minority": (size - 1) // 2, "majority": size // 2 + 1, "all": size}.get(choice, 1)
    chosen = random.sample(up, max(1, min(number, len(up))))
    return "one" if choice == "leader" else choice, tuple(sorted(chosen))


class Nemesis:
    """``draw`` is asked when the last calm is over."""

    def __init__(self, name: str, kinds: Sequence[Draw], *, overlap: int = 1) -> None:
        self.name = name
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
        return Plan(disruption, random.uniform(*HOLD_S))

    def calm_s(self, random: Random) -> float:
        """How long to wait before the next draw."""
        return random.uniform(*CALM_S)
