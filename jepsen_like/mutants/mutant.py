"""A planted bug as data: what text of which module is replaced, and who must notice.

Owns: Mutant and its parts. Must never do: import what it changes.
Numbers are those of the catalogue in docs/testing.md; a positive control has a letter's place
beyond 100.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """``old`` must stand in the module's source exactly once."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Hunt:
    """Which plans are drawn, as ``simulated.plan.Bias`` has it; ``kinds`` are names of
    FaultKind."""

    workload: str = "mix"
    kinds: tuple[str, ...] = ()
    size: int = 0
    heartbeat_ms: int = 0
    think_s: float = 0.0
    pace: float = 0.0
    without_pre_vote: bool = False
    entry_by_entry: bool = False
    faults_until_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Mutant:
    """``checkers``: the invariants and checkers one of which must be first to notice. ``origin``:
    where such a bug was real. ``schedule`` names the test (pytest's way) that drives the bug out
    by a schedule written by hand, where seeds hardly ever draw it; then nothing is hunted."""

    number: int
    name: str
    what: str
    changes: tuple[Change, ...]
    checkers: frozenset[str]
    hunt: Hunt = Hunt()
    origin: str = ""
    schedule: str = ""
