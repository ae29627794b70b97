"""What happened to this member: elections, links, its start. Kept always, for it is rare.

Owns: Happening and the ring of the last ones. Must never do: be called for what a loaded cluster
does all the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

KEPT_MAX = 64


@dataclass(frozen=True, slots=True)
class Happening:
    """``at_ms`` is since 1970 by the clock of whoever saw it. ``text`` is one sentence."""

    at_ms: int
    member: int
    what: str
    term: int
    text: str

    def as_json(self) -> dict[str, object]:
        return {
            "t": self.at_ms,
            "member": f"{self.member:x}",
            "what": self.what,
            "term": self.term,
            "text": self.text,
        }


class Happenings:
    """Each has a number, from 1 on."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._kept: deque[Happening] = deque(maxlen=KEPT_MAX)
        self.last = 0
        """The number of the newest one, 0 before the first."""

    def add(self, member: int, what: str, term: int, text: str) -> None:
        self._kept.append(Happening(self._now_ms(), member, what, term, text))
        self.last += 1

    def since(self, number: int) -> list[Happening]:
        """Those after ``number`` that are still kept, oldest first."""
        count = min(self.last - number, len(self._kept))
        return list(self._kept)[-count:] if count > 0 else []
