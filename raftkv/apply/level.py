"""The cluster's level: how much its members may put into the log, so that each can apply it.

Owns: ClusterLevel, its row of META, and what a CLUSTER_LEVEL request says. Must never do:
decide that a change is due: ``raftkv.server.upgrade`` asks the members first. As etcd's cluster
version, which also changes by an entry alone: from that entry on, and on every member alike, an
entry may mean what an older version does not know.

A change names the epoch that it follows. Of two that were proposed at once the second changes
nothing, so that a level that was lowered is never raised by an entry from before.

What a member asked for before it knew of a lowering can enter the log long after it: batches are
forwarded, and come late. Nothing of it is applied once a later batch of that member was, by this
version and 0.1 alike (``Batch.sequence``). So every member sends a barrier behind all that it has
asked for; when those of all are in, nothing that the older version does not know can follow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
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
    although all members could. ``index`` is the entry that made the row what it is, ``awaited`` are
    the members whose barrier has not come since it was held."""

    level: int = LEVEL_0_1
    held: bool = False
    epoch: int = 0
    index: int = 0
    awaited: tuple[int, ...] = ()

    def encode(self) -> bytes:
        fields = asdict(self)
        if not self.awaited:
            del fields["awaited"]
        return json.dumps(fields).encode()

    @staticmethod
    def decode(data: bytes) -> LevelRow:
        """Raises Corrupt."""
        try:
            fields = json.loads(data)
            return LevelRow(**fields | {"awaited": tuple(fields.get("awaited", ()))})
        except (ValueError, TypeError, AttributeError) as e:
            raise Corrupt(f"the row of the cluster's level is unreadable: {e!r}") from e


@dataclass(frozen=True, slots=True)
class LevelChange:
    """The payload of a CLUSTER_LEVEL request; ``epoch`` is the one that it follows. It is only a
    barrier if it is that of a member, ``barrier_of``: then its epoch is over, as is that of any
    change that comes too late."""

    level: int
    held: bool
    epoch: int
    barrier_of: int = 0

    def encode(self) -> bytes:
        fields = asdict(self)
        if not self.barrier_of:
            del fields["barrier_of"]
        return json.dumps(fields).encode()

    @staticmethod
    def decode(payload: bytes) -> LevelChange:
        """Raises MalformedRequest."""
        try:
            fields = json.loads(payload)
            return LevelChange(
                int(fields["level"]),
                bool(fields["held"]),
                int(fields["epoch"]),
                int(fields.get("barrier_of", 0)),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as e:
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
        self.row = LevelRow() if data is None else LevelRow.decode(data)

    def change(self, change: LevelChange, index: int, members: Sequence[int]) -> None:
        """By the entry at ``index``, with ``members``. One whose epoch is over changes nothing, but
        for a barrier. Raises Corrupt for a level that this version does not know."""
        row = self.row
        if change.level > OWN_LEVEL:
            raise Corrupt(
                f"entry {index} raises the cluster to level {change.level}, this version knows "
                f"{OWN_LEVEL}: run a version that is not older than the other members'"
            )
        if change.barrier_of:
            if change.epoch == row.epoch - 1 and change.barrier_of in row.awaited:
                left = tuple(member for member in row.awaited if member != change.barrier_of)
                self._write(replace(row, index=index, awaited=left))
        elif change.epoch == row.epoch:
            awaited = tuple(members) if change.held else ()
            self._write(LevelRow(change.level, change.held, change.epoch + 1, index, awaited))

    def _write(self, row: LevelRow) -> None:
        self.row = row
        self._backend.put(Table.META, Meta.LEVEL, row.encode())
        self.changed()
