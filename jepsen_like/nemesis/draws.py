"""The draw of each kind of disruption: what of it, and on whom.

Owns: View, one function per kind, and the bound on damage: never more than a minority of members
has changed files in one run, for no store survives more. Must never do: wait, or break anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from jepsen_like.nemesis.disruption import (
    DATABASE,
    LOG,
    BitFlip,
    ClockSkew,
    Compactions,
    Cut,
    Defrags,
    DiskFull,
    Disruption,
    Kill,
    LeaderTransfers,
    Pause,
    Replacement,
    Slow,
    SlowDisk,
    SlowReaders,
)
from jepsen_like.nemesis.shapes import draw_shape

DELAYS_S = (0.01, 0.05, 0.2, 0.5)
SYNC_DELAYS_S = (0.005, 0.02, 0.1, 0.5)
OFFSETS_S = (-86_400.0, -60.0, -1.0, -0.1, 0.1, 1.0, 60.0, 86_400.0)
RATES_PPM = (-100_000, -10_000, 0, 10_000, 100_000)
"""Up to a tenth: far more than a crystal is wrong by, and what a virtual machine can see."""


@dataclass(frozen=True, slots=True)
class View:
    """What a nemesis may know. ``down`` are those that are killed or paused now; ``damaged`` those
    whose files were changed in this run."""

    members: tuple[str, ...]
    leader: str | None = None
    down: frozenset[str] = frozenset()
    under_way: tuple[Disruption, ...] = ()
    damaged: frozenset[str] = frozenset()

    @property
    def up(self) -> list[str]:
        return [member for member in self.members if member not in self.down]


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


def draw_bit_flip(random: Random, view: View) -> Disruption | None:
    return _draw_damage(random, view, LOG)


def draw_database_flip(random: Random, view: View) -> Disruption | None:
    return _draw_damage(random, view, DATABASE)


def draw_disk_full(random: Random, view: View) -> Disruption | None:
    return DiskFull(random.choice(view.up)) if view.up else None


def draw_slow_disk(random: Random, view: View) -> Disruption | None:
    if not view.up:
        return None
    return SlowDisk(_leader_or_one(random, view), random.choice(SYNC_DELAYS_S))


def draw_clock(random: Random, view: View) -> Disruption | None:
    number = random.randint(1, len(view.members))
    members = tuple(sorted(random.sample(view.members, number)))
    return ClockSkew(members, random.choice(OFFSETS_S), random.choice(RATES_PPM))


def draw_leader_transfer(random: Random, view: View) -> Disruption | None:
    if len(view.members) < 2:
        return None
    return LeaderTransfers(random.choice((0.1, 0.3, 1.0)))


def draw_defrag(random: Random, view: View) -> Disruption | None:
    return Defrags(random.choice((0.1, 0.3, 1.0)))


def draw_replacement(random: Random, view: View) -> Disruption | None:
    """Only of a whole cluster: one that lost members may not be able to agree on the change."""
    if len(view.members) < 2 or view.down:
        return None
    return Replacement(_leader_or_one(random, view))


def _draw_damage(random: Random, view: View, file: str) -> Disruption | None:
    bound = (len(view.members) - 1) // 2
    allowed = view.damaged if len(view.damaged) >= bound else frozenset(view.members)
    candidates = [member for member in view.up if member in allowed]
    return BitFlip(file, random.choice(candidates)) if candidates else None


def _leader_or_one(random: Random, view: View) -> str:
    if view.leader in view.up and view.leader is not None and random.random() < 0.5:
        return view.leader
    return random.choice(view.up)
