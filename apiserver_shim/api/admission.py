"""What is asked of a write between its decoding and the store.

Owns: the chain. Must never do: know HTTP. Steps are small and in a fixed order: those that fill
something in come before those that refuse.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from apiserver_shim.api.request import Target


@dataclass(frozen=True, slots=True)
class Write:
    """``new`` may be changed by a step; ``old`` is None for a create, ``new`` for a delete."""

    target: Target
    new: dict[str, Any] | None
    old: dict[str, Any] | None
    user: str
    dry_run: bool = False


Step = Callable[[Write], Awaitable[None]]


class Admission:
    def __init__(self, steps: Sequence[Step] = ()) -> None:
        self._steps = list(steps)

    def add(self, step: Step) -> None:
        self._steps.append(step)

    async def admit(self, write: Write) -> None:
        """Raises the first refusal."""
        for step in self._steps:
            await step(write)
