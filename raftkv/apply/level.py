"""The cluster's level: how much its members may put into the log, so that each can apply it.

Owns: ClusterLevel, its row of META, and what a CLUSTER_LEVEL request says. Must never do:
decide that a change is due: ``raftkv.server.upgrade`` asks the members first. As etcd's cluster
version, which also changes by an entry alone: from that entry on, and on every member alike, an
entry may mean what an older version does not know.

A change names the epoch that it follows. Of two that were proposed at once the second changes
nothing, so that a level that was lowered is never raised by an entry from before.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

from raftkv.backend.environment import Backend
from raftkv.backend.schema import Meta, Table
from raftkv.errors import Corrupt, MalformedRequest

LEVEL_0_1: Final = 0
LEVEL_0_2: Final = 1
OWN_LEVEL: Final = LEVEL_0_2
"""What this version can apply."""

VERSIONS: Final = {LEVEL_0_1: "0.1", LEVEL_0_2: "0.2"}


@dataclass(frozen=True, slots=True)
class LevelRow:
    """``held``: an operator wants to go back to the version of ``level``, so that nobody raises it
    although all members could. ``index`` is the entry that made the row."""

    level: int = LEVEL_0_1
    held: bool = False
    epoch: int = 0
    index: int = 0


@dataclass(frozen=True, slots=True)
class LevelChange:
    """The payload of a CLUSTER_LEVEL request; ``epoch`` is the one that it follows."""

    level: int
    held: bool
    epoch: int

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def decode(payload: bytes) -> LevelChange:
        """Raises MalformedRequest."""
        try:
            fields = json.loads(payload)
            return LevelChange(int(fields["level"]), bool(fields["held"]), int(fields["epoch"]))
        except (ValueError, KeyError, TypeError) as e:
            raise MalformedRequest(f"a change of level: {e!r}") from None


class ClusterLevel:
    """``changed`` is called when an entry has changed the row."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.changed: Callable[[], None] = lambda: None
        self.reload()

    @property
    def current(self) -> int:
        return self.row.level

    def reload(self) -> None:
        """Read the row of a database that was opened or replaced. Raises Corrupt."""
        data = self._backend.get(Table.META, Meta.LEVEL)
        try:
            self.row = LevelRow() if data is None else LevelRow(**json.loads(data))
        except (ValueError, TypeError) as e:
            raise Corrupt(f"the row of the cluster's level is unreadable: {e!r}") from e

    def change(self, change: LevelChange, index: int) -> None:
        """By the entry at ``index``. One whose epoch is over changes nothing. Raises Corrupt for a
        level that this version does not know."""
        if change.level > OWN_LEVEL:
            raise Corrupt(
                f"entry {index} raises the cluster to level {change.level}, this version knows "
                f"{OWN_LEVEL}: run a version that is not older than the other members'"
            )
        if change.epoch == self.row.epoch:
            self.row = LevelRow(change.level, change.held, change.epoch + 1, index)
            self._backend.put(Table.META, Meta.LEVEL, json.dumps(asdict(self.row)).encode())
            self.changed()
