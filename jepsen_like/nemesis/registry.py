"""Nemeses by name.

Owns: the names that --nemesis takes. Names joined by commas make one that does each of them.
"""

from __future__ import annotations

from jepsen_like.nemesis.nemesis import (
    Draw,
    Nemesis,
    draw_compaction,
    draw_kill,
    draw_partition,
    draw_pause,
    draw_slow_link,
    draw_slow_reader,
)

ALL_OVERLAP = 3

KINDS: dict[str, tuple[Draw, str]] = {
    "kill": (draw_kill, "kill -9 one, the leader, a minority, a majority or all; restart"),
    "pause": (draw_pause, "SIGSTOP members, then SIGCONT"),
    "partition": (draw_partition, "cut links: complete, partial, one-way; held or reset"),
    "slow-link": (draw_slow_link, "delay what goes over links, 10 to 500 ms"),
    "compaction": (draw_compaction, "compact again and again, close to the newest revision"),
    "slow-reader": (draw_slow_reader, "watch all keys from the first revision, and never read"),
}
NONE = "none"
ALL = "all"


def names() -> dict[str, str]:
    """Each name and what it is about."""
    abouts = {name: about for name, (_, about) in KINDS.items()}
    return abouts | {ALL: f"all of these, up to {ALL_OVERLAP} together", NONE: "nothing breaks"}


def nemesis_named(name: str) -> Nemesis:
    """ValueError for a name that is not there. ``kill,partition`` does both, one at a time."""
    if name == NONE:
        return Nemesis(name, [])
    if name == ALL:
        return Nemesis(name, [draw for draw, _ in KINDS.values()], overlap=ALL_OVERLAP)
    parts = name.split(",")
    unknown = [part for part in parts if part not in KINDS]
    if unknown:
        raise ValueError(f"no nemesis {unknown[0]!r}: {', '.join(names())} are there")
    return Nemesis(name, [KINDS[part][0] for part in parts])
