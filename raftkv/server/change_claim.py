"""One change of members at a time, from the leader's word that it may be made until it is.

Owns: the claim. Must never do: stand in the way for longer than a change can take. Two removals,
each harmless by itself, could cost the quorum together: the second has to be judged by what the
first has left. (Raft takes one change at a time too, but only from the log on.)
"""

from __future__ import annotations

from collections.abc import Callable

from raftkv.apply.membership import MemberInfo
from raftkv.errors import ChangePending

Rows = list[tuple[int, bool, tuple[str, ...]]]


class ChangeClaim:
    """``members`` are the rows as they are applied: when they are others, the change that was
    claimed has happened."""

    def __init__(self, members: Callable[[], list[MemberInfo]], lasts_s: float) -> None:
        self._members = members
        self._lasts_s = lasts_s
        self._holder: bytes = b""
        self._rows: Rows = []
        self._until = float("-inf")

    def check(self, who: bytes, now: float) -> None:
        """Raises ChangePending while somebody else's change is on its way."""
        is_held = now < self._until and self._rows == self._present()
        if is_held and who != self._holder:
            left_s = self._until - now
            raise ChangePending(
                f"another change of members is on its way: ask again once it is done, in "
                f"{left_s:.0f} s at the latest"
            )

    def take(self, who: bytes, now: float) -> None:
        """``who`` asks again by the same name: a question may be repeated."""
        self._holder, self._rows, self._until = who, self._present(), now + self._lasts_s

    def _present(self) -> Rows:
        return [(row.id, row.is_learner, row.peer_urls) for row in self._members()]
