"""What one client remembers of its answers, to ask its next question near to the present.

Owns: Memory. It may be stale: that is the point of a compare. Must never do: share between
clients; each knows what it was told.
"""

from __future__ import annotations

from collections import deque
from random import Random

from jepsen_like.history.operation import Operation
from jepsen_like.history.parts import Part, parts
from jepsen_like.history.ranges import covers
from jepsen_like.history.request import Delete, Get, Put
from jepsen_like.history.result import Deleted, Found, Refused, Unknown

_DELETIONS_KEPT = 8
_RECENT_REVISIONS = 30


class Memory:
    """``mods``: mod_revision by key, 0 for one that was missing; ``values``: of those present."""

    def __init__(self) -> None:
        self.revision = 0
        self.mods: dict[str, int] = {}
        self.values: dict[str, str] = {}
        self.deletions: deque[int] = deque(maxlen=_DELETIONS_KEPT)

    def learn(self, last: Operation | None) -> None:
        if last is None or isinstance(last.outcome, Refused | Unknown):
            return
        self.revision = max(self.revision, last.outcome.revision)
        for part in parts(last):
            self._learn_part(part)

    def recent_revision(self, random: Random) -> int:
        """A revision not long ago; one in three is that of a delete, if any was seen."""
        if self.deletions and random.random() < 0.33:
            return random.choice(self.deletions)
        return max(1, self.revision - random.randint(0, _RECENT_REVISIONS))

    def _learn_part(self, part: Part) -> None:
        match part.op, part.result:
            case Put(key, value), _:
                self._present(key, value, part.revision)
            case Delete() as delete, Deleted() as deleted:
                self._gone(delete.key, delete.end)
                if deleted.count:
                    self.deletions.append(part.revision)
            case Get() as get, Found() as found:
                if not (get.revision or get.limit or get.serializable):
                    self._gone(get.key, get.end)
                for kv in found.kvs:
                    if kv.mod_revision >= self.mods.get(kv.key, 0):
                        self._present(kv.key, kv.value, kv.mod_revision)

    def _present(self, key: str, value: str, mod_revision: int) -> None:
        self.mods[key] = mod_revision
        self.values[key] = value

    def _gone(self, key: str, end: str) -> None:
        for known in [known for known in self.mods if covers(key, end, known)]:
            self.mods[known] = 0
            self.values.pop(known, None)
