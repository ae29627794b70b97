"""What the key space must hold after each request of a script.

Owns: KeySpace, a small model of etcd's revisions, and the states that it went through. Must never
do: share code with the store that it judges. It knows only what a script draws: puts, deletes,
compactions, and transactions that compare versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jepsen_like.history.request import Compact, Delete, KeyOp, Put, Relation, Request, Txn


@dataclass(frozen=True, slots=True)
class Row:
    """The newest version of a key."""

    value: str
    create_revision: int
    mod_revision: int
    version: int


Rows = Mapping[str, Row]


@dataclass(frozen=True, slots=True)
class State:
    """``rows_at`` holds the rows of every revision that there was, the current one included."""

    revision: int
    compact_revision: int
    rows_at: Mapping[int, Rows]

    @property
    def rows(self) -> Rows:
        return self.rows_at[self.revision]


class KeySpace:
    """Starts as an empty etcd: at revision 1, compacted at -1, which is never."""

    def __init__(self) -> None:
        self.revision = 1
        self.compact_revision = -1
        self._rows: dict[str, Row] = {}
        self._rows_at: dict[int, Rows] = {1: {}}

    def apply(self, request: Request) -> None:
        """One request; whatever it changes, it changes at one revision."""
        match request:
            case Compact(revision):
                assert self.compact_revision < revision <= self.revision, request
                self.compact_revision = revision
            case Txn():
                self._write(request.success if self._holds(request) else request.failure)
            case Put() | Delete():
                self._write((request,))
            case _:
                raise ValueError(f"a script has no {request}")

    def state(self) -> State:
        return State(self.revision, self.compact_revision, dict(self._rows_at))

    def _holds(self, txn: Txn) -> bool:
        for compare in txn.compares:
            row = self._rows.get(compare.key)
            version, operand = 0 if row is None else row.version, compare.operand
            assert isinstance(operand, int), compare
            equal, greater = version == operand, version > operand
            if not (equal if compare.relation is Relation.EQUAL else greater):
                return False
        return True

    def _write(self, ops: Iterable[KeyOp]) -> None:
        revision = self.revision + 1
        changed = [self._change(op, revision) for op in ops]
        if any(changed):
            self.revision = revision
            self._rows_at[revision] = dict(self._rows)

    def _change(self, op: KeyOp, revision: int) -> bool:
        match op:
            case Put(key, value):
                old = self._rows.get(key)
                created = revision if old is None else old.create_revision
                version = 1 if old is None else old.version + 1
                self._rows[key] = Row(value, created, revision, version)
                return True
            case Delete(key, end):
                gone = [k for k in self._rows if k == key or (end and key <= k < end)]
                for name in gone:
                    del self._rows[name]
                return bool(gone)
            case _:
                raise ValueError(f"a script has no {op}")


def states_after(requests: Iterable[Request]) -> list[State]:
    """Item n is the state after the first n requests."""
    space = KeySpace()
    states = [space.state()]
    for request in requests:
        space.apply(request)
        states.append(space.state())
    return states
