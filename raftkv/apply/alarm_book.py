"""Alarms: what the cluster has been told is wrong, until somebody says that it is right again.

Owns: the alarms that are raised, by member and kind, as rows of META. Must never do: decide that an
alarm is due. That is asked for through the log, so that all members refuse the same requests from
the same entry on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from raftkv.backend.environment import Backend
from raftkv.backend.schema import Meta, Table

CLUSTER = 0
"""In a member's place: no member's own, but everybody's."""
_ROW_KEY_BYTES = len(Meta.ALARM) + 1 + 8


class AlarmKind(IntEnum):
    """etcd's AlarmType. NONE stands for all in a question."""

    NONE = 0
    NOSPACE = 1
    CORRUPT = 2


def kind_of(number: int) -> AlarmKind | None:
    """The kind by etcd's number; None for a number that nobody knows."""
    try:
        return AlarmKind(number)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, order=True)
class Alarm:
    member_id: int
    kind: AlarmKind

    @property
    def text(self) -> str:
        """As Status tells it: the protobuf text of an AlarmMember, where a 0 is left out."""
        member = f"memberID:{self.member_id} " if self.member_id else ""
        return f"{member}alarm:{self.kind.name}"


class AlarmBook:
    """All raised alarms, in memory beside their rows: every write asks for them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.reload()

    def reload(self) -> None:
        """Read the rows of a database that was opened or replaced."""
        rows = self._backend.cursor(Table.META, Meta.ALARM, Meta.ALARM + b"\xff")
        self._active = {_alarm_of(key) for key, _ in rows if len(key) == _ROW_KEY_BYTES}
        self._note()

    def active(self, kind: AlarmKind = AlarmKind.NONE) -> list[Alarm]:
        """The raised alarms of ``kind``, of all kinds with NONE, by member."""
        return sorted(a for a in self._active if kind in (AlarmKind.NONE, a.kind))

    def is_active(self, alarm: Alarm) -> bool:
        return alarm in self._active

    def activate(self, alarm: Alarm) -> None:
        if alarm not in self._active:
            self._active.add(alarm)
            self._backend.put(Table.META, _row_key(alarm), b"1")
            self._note()

    def deactivate(self, alarm: Alarm) -> bool:
        """False when it was not raised."""
        if alarm not in self._active:
            return False
        self._active.remove(alarm)
        self._backend.delete(Table.META, _row_key(alarm))
        self._note()
        return True

    def _note(self) -> None:
        self.no_space = any(a.kind is AlarmKind.NOSPACE for a in self._active)
        self.is_full = Alarm(CLUSTER, AlarmKind.NOSPACE) in self._active
        self.corrupt = any(a.kind is AlarmKind.CORRUPT for a in self._active)


def _row_key(alarm: Alarm) -> bytes:
    return Meta.ALARM + bytes((alarm.kind,)) + alarm.member_id.to_bytes(8, "big")


def _alarm_of(key: bytes) -> Alarm:
    return Alarm(int.from_bytes(key[-8:], "big"), AlarmKind(key[-9]))
