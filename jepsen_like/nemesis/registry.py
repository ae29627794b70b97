"""Nemeses by name.

Owns: the names that --nemesis takes, and what each needs. Names joined by commas make one that does
each of them. ``all`` has those that need nothing of the program or the machine, and that every
member survives.
"""

from __future__ import annotations

from dataclasses import dataclass

from jepsen_like.nemesis import draws
from jepsen_like.nemesis.draws import Draw
from jepsen_like.nemesis.nemesis import HOLD_MAX_S, Nemesis

ALL_OVERLAP = 3

PRELOAD = "a dynamically linked program"
OWN_DISK = "root, to mount a small disk for each member"
LEADER_TRANSFER, MEMBER_CHANGE, DEFRAG = "leader-transfer", "member-change", "defrag"


@dataclass(frozen=True, slots=True)
class Kind:
    """``is_in_all``: whether ``all`` has it."""

    draw: Draw
    about: str
    needs: frozenset[str] = frozenset()
    is_in_all: bool = True


def _special(draw: Draw, about: str, *needs: str) -> Kind:
    return Kind(draw, about, frozenset(needs), is_in_all=False)


KINDS: dict[str, Kind] = {
    "kill": Kind(
        draws.draw_kill, "kill -9 one, the leader, a minority, a majority or all; restart"
    ),
    "pause": Kind(draws.draw_pause, "SIGSTOP members, then SIGCONT"),
    "partition": Kind(draws.draw_partition, "cut links: complete, partial, one-way; held or reset"),
    "slow-link": Kind(draws.draw_slow_link, "delay what goes over links, 10 to 500 ms"),
    "compaction": Kind(
        draws.draw_compaction, "compact again and again, close to the newest revision"
    ),
    "slow-reader": Kind(
        draws.draw_slow_reader, "watch all keys from the first revision, and never read"
    ),
    "bitflip": _special(
        draws.draw_bit_flip, "kill -9 one of a minority, flip a bit of its synced log; restart"
    ),
    "bitflip-db": _special(
        draws.draw_database_flip, "the same in its database, which has no checksums"
    ),
    "disk-full": _special(draws.draw_disk_full, "leave no byte on one member's disk", OWN_DISK),
    "slow-disk": _special(draws.draw_slow_disk, "5 to 500 ms before each sync", PRELOAD),
    "clock": _special(
        draws.draw_clock, "time of day up to a day wrong, clocks up to 10 % off", PRELOAD
    ),
    "leader-transfer": _special(
        draws.draw_leader_transfer, "ask the leader to hand over, again and again", LEADER_TRANSFER
    ),
    "defrag": _special(draws.draw_defrag, "defragment one member after the other", DEFRAG),
    "member-replace": _special(
        draws.draw_replacement, "remove a member, wipe it, add it anew", MEMBER_CHANGE
    ),
}
NONE = "none"
ALL = "all"


def names() -> dict[str, str]:
    """Each name and what it is about."""
    abouts = {name: kind.about for name, kind in KINDS.items()}
    every = ", ".join(name for name, kind in KINDS.items() if kind.is_in_all)
    return abouts | {ALL: f"{every}: up to {ALL_OVERLAP} together", NONE: "nothing breaks"}


def nemesis_named(name: str, hold_max_s: float = HOLD_MAX_S) -> Nemesis:
    """ValueError for a name that is not there. ``kill,partition`` does both, one at a time."""
    if name == NONE:
        return Nemesis(name, [])
    if name == ALL:
        every = [kind.draw for kind in KINDS.values() if kind.is_in_all]
        return Nemesis(name, every, overlap=ALL_OVERLAP, hold_max_s=hold_max_s)
    parts = name.split(",")
    unknown = [part for part in parts if part not in KINDS]
    if unknown:
        raise ValueError(f"no nemesis {unknown[0]!r}: {', '.join(names())} are there")
    kinds = [KINDS[part] for part in parts]
    needs = frozenset().union(*(kind.needs for kind in kinds))
    return Nemesis(name, [kind.draw for kind in kinds], needs=needs, hold_max_s=hold_max_s)
