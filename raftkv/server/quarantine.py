"""Whether this member's own data is known to be wrong, and what it does not do while it is.

Owns: that fact and its reason in words, in memory and in a file that outlives the process. Must
never do: repair; ``healing`` does. What the member said as a Raft node stays true: its log is not
at fault, so it goes on to vote, to store and to acknowledge entries. It applies none, serves no
read, and stands for no election.
"""

from __future__ import annotations

from collections.abc import Callable

from raftkv.errors import Quarantined


class Quarantine:
    """``reason`` is "" for a healthy member."""

    def __init__(self) -> None:
        self.reason = ""
        self.times = 0
        """How often it began since the start."""
        self._waiting: set[Callable[[], None]] = set()

    @property
    def is_on(self) -> bool:
        return bool(self.reason)

    @property
    def refusal(self) -> Quarantined:
        return Quarantined(
            f"raftkv: this member's data is wrong and is being replaced by a peer's, ask another "
            f"member: {self.reason}"
        )

    @property
    def texts(self) -> tuple[str, ...]:
        """For a status: nothing, or what is wrong in words."""
        return (str(self.refusal),) if self.reason else ()

    def tell(self, begun: Callable[[], None]) -> None:
        """Call ``begun`` once, when it begins; unless ``forget`` comes first."""
        self._waiting.add(begun)

    def forget(self, begun: Callable[[], None]) -> None:
        self._waiting.discard(begun)

    def begin(self, reason: str) -> None:
        assert reason, "a quarantine without a reason"
        self.reason = reason
        self.times += 1
        told, self._waiting = self._waiting, set()
        for begun in told:
            begun()

    def end(self) -> None:
        self.reason = ""
