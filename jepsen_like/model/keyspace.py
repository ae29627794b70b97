"""The keys of an etcd: every value that each key ever had, and the events of every revision.

Owns: KeySpace. Must never do: refuse (that is EtcdModel's part), or forget what was compacted: a
judge looks back. As in etcd's mvcc, all writes of a request share one revision, one that changes
nothing uses none, and a key that comes back after a delete starts again at version 1.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence

from jepsen_like.history.operation import Event
from jepsen_like.history.request import Compare, Delete, Get, KeyOp, Put, Relation, Target
from jepsen_like.history.result import Deleted, Found, KeyResult, KeyValue, Written

FIRST_REVISION = 1  # of an empty store
ALL_FROM = "\0"  # etcd's range_end for "all keys from here on"


def covers(key: str, end: str, name: str) -> bool:
    """Whether the range of ``key`` and ``end`` holds ``name``."""
    if not end:
        return name == key
    return name >= key and (end == ALL_FROM or name < end)


class _Life:
    """One key's past: ``values[i]`` since ``revisions[i]``; None is deleted."""

    __slots__ = ("revisions", "values")

    def __init__(self) -> None:
        self.revisions: list[int] = []
        self.values: list[KeyValue | None] = []

    def newest(self) -> KeyValue | None:
        return self.values[-1] if self.values else None

    def at(self, revision: int) -> KeyValue | None:
        index = bisect_right(self.revisions, revision)
        return self.values[index - 1] if index else None


class KeySpace:
    """``revision`` is the newest; a request that is under way writes at the next one."""

    def __init__(self) -> None:
        self.revision = FIRST_REVISION
        self.attached: dict[int, set[str]] = {}  # lease -> its keys
        self._lives: dict[str, _Life] = {}
        self._keys: list[str] = []  # all that ever were, in order
        self._events: list[tuple[Event, ...]] = [()] * (FIRST_REVISION + 1)
        self._pending: list[Event] = []

    # --- reading ----------------------------------------------------------------------------------

    def events(self, revision: int) -> tuple[Event, ...]:
        """In the order of the writes; none at a revision that is not reached yet."""
        return self._events[revision] if revision < len(self._events) else ()

    def newest(self, key: str) -> KeyValue | None:
        life = self._lives.get(key)
        return life.newest() if life else None

    def at(self, key: str, revision: int) -> KeyValue | None:
        """What ``key`` was when ``revision`` was the newest: O(log of the key's changes)."""
        life = self._lives.get(key)
        return life.at(revision) if life else None

    def get(self, get: Get, header: int | None = None) -> Found:
        """``header``: the newest revision that the reader sees, other than this moment's."""
        current = self.revision + bool(self._pending) if header is None else header
        revision = get.revision or current
        if get.end:
            kvs = [kv for key in self._names(get.key, get.end) if (kv := self.at(key, revision))]
        else:
            kv = self.at(get.key, revision)
            kvs = [kv] if kv else []
        count = len(kvs)
        more = 0 < get.limit < count
        return Found(current, tuple(kvs[: get.limit] if more else kvs), count, more)

    def holds(self, compare: Compare) -> bool:
        kv = self.newest(compare.key)
        if kv is None:
            if compare.target is Target.VALUE:
                return False
            return _related(0, compare.relation, compare.operand)
        return _related(_compared(kv, compare.target), compare.relation, compare.operand)

    # --- writing ----------------------------------------------------------------------------------

    def run(self, ops: Iterable[KeyOp]) -> tuple[KeyResult, ...]:
        """All in one revision, each seeing what those before it wrote."""
        results: list[KeyResult] = []
        for op in ops:
            match op:
                case Get():
                    results.append(self.get(op))
                case Put():
                    self._put(op)
                    results.append(Written(self.revision + 1))
                case Delete():
                    count = self._delete(self._names(op.key, op.end))
                    results.append(Deleted(self.revision + bool(self._pending), count))
        self._commit()
        return tuple(results)

    def drop_lease(self, lease: int) -> int:
        """Deletes its keys, in one revision, and gives their number."""
        count = self._delete(sorted(self.attached.get(lease, ())))
        self._commit()
        return count

    def skip_to(self, revision: int) -> None:
        """Revisions of which nothing is known."""
        while self.revision < revision:
            self.revision += 1
            self._events.append(())

    def truncate(self, revision: int) -> None:
        """Back to when ``revision`` was the newest."""
        while self.revision > revision:
            for event in reversed(self._events.pop()):
                life = self._lives[event.kv.key]
                life.revisions.pop()
                life.values.pop()
                self._attach(event.kv.key, event.kv, event.prev)
            self.revision -= 1

    def _put(self, put: Put) -> None:
        life = self._lives.get(put.key)
        if life is None:
            life = self._lives[put.key] = _Life()
            insort(self._keys, put.key)
        prev = life.newest()
        revision = self.revision + 1
        create, version = (prev.create_revision, prev.version + 1) if prev else (revision, 1)
        kv = KeyValue(put.key, put.value, create, revision, version, put.lease)
        self._change(life, Event(False, kv, prev))

    def _delete(self, names: Sequence[str]) -> int:
        count = 0
        for name in names:
            life = self._lives[name]
            prev = life.newest()
            if prev is not None:
                count += 1
                tombstone = KeyValue(name, "", 0, self.revision + 1, 0)
                self._change(life, Event(True, tombstone, prev))
        return count

    def _change(self, life: _Life, event: Event) -> None:
        life.revisions.append(event.kv.mod_revision)
        life.values.append(None if event.is_delete else event.kv)
        self._pending.append(event)
        self._attach(event.kv.key, event.prev, event.kv)

    def _attach(self, key: str, old: KeyValue | None, new: KeyValue | None) -> None:
        if old is not None and old.lease:
            self.attached[old.lease].discard(key)
        if new is not None and new.lease:
            self.attached.setdefault(new.lease, set()).add(key)

    def _commit(self) -> None:
        if self._pending:
            self.revision += 1
            self._events.append(tuple(self._pending))
            self._pending.clear()

    def _names(self, key: str, end: str) -> Sequence[str]:
        if not end:
            return (key,) if key in self._lives else ()
        first = bisect_left(self._keys, key)
        last = len(self._keys) if end == ALL_FROM else bisect_left(self._keys, end)
        return self._keys[first:last]


def _compared(kv: KeyValue, target: Target) -> str | int:
    match target:
        case Target.VALUE:
            return kv.value
        case Target.VERSION:
            return kv.version
        case Target.CREATE:
            return kv.create_revision
        case Target.MOD:
            return kv.mod_revision
        case Target.LEASE:
            return kv.lease


def _related(left: str | int, relation: Relation, right: str | int) -> bool:
    if isinstance(left, str) != isinstance(right, str):
        raise TypeError(f"a compare of {left!r} with {right!r}")
    match relation:
        case Relation.EQUAL:
            return left == right
        case Relation.NOT_EQUAL:
            return left != right
        case Relation.LESS:
            return left < right  # type: ignore[operator]
        case Relation.GREATER:
            return left > right  # type: ignore[operator]
