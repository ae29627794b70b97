"""What a hunt came to.

Owns: Result. A mutant counts as killed only if a checker or an invariant noticed it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """``caught_by`` is empty for a survivor. ``seconds`` are of one core."""

    mutant: str
    caught_by: str
    reason: str
    seed: int
    seeds: int
    seconds: float

    @property
    def killed(self) -> bool:
        return bool(self.caught_by)
