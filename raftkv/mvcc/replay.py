"""History that happened elsewhere, written as it was: revisions, versions and all.

Owns: the order of what is replayed, and the rows that follow from it. Must never do: give a
revision, or write to a store that has watchers or clients: it fills a database that nobody serves.
"""

from __future__ import annotations

from raftkv.errors import Corrupt
from raftkv.mvcc.codec import (
    decode_key_value,
    encode_deletion,
    encode_key_value,
    encode_row,
)
from raftkv.mvcc.record import Link, Position, decode_position, encode_position
from raftkv.mvcc.store import Store


class Replay:
    """``add`` each record in order, then ``finish``. The store must be empty, or end before the
    first record."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: Position = (store.current_revision, 1 << 32)

    def add(self, main: int, sub: int, key_value: bytes, *, is_tombstone: bool) -> None:
        """What happened to one key; of a deletion the key counts. A version whose earlier ones a
        compaction took keeps its number. Raises Corrupt for what cannot be read."""
        assert (main, sub) > self._last, f"{main}/{sub} replayed after {self._last}"
        self._last = (main, sub)
        try:
            kv = decode_key_value(key_value)
        except IndexError:
            raise Corrupt(f"the version of revision {main}/{sub} cannot be read") from None
        key, store = kv.key, self._store
        if not key:
            raise Corrupt(f"the version of revision {main}/{sub} has no key")
        last = self._link(key)
        if is_tombstone:
            encoded = encode_deletion(key, main)
            store.latest.delete(key)
            store.tombstones.put(key, encode_position((main, sub)))
            store.has_tombstones = True
        else:
            if kv.mod_revision != main or not kv.create_revision or not kv.version:
                raise Corrupt(f"the version of {key!r} at {main}/{sub} says {kv.mod_revision}")
            encoded = encode_key_value(
                key, kv.create_revision, main, kv.version, kv.value, kv.lease
            )
            store.latest.put(key, encode_row(encoded))
            store.tombstones.delete(key)
        store.history.append((main, sub), last, encoded, is_tombstone=is_tombstone)
        store.current_revision = main

    def finish(self, compact_revision: int) -> None:
        """``compact_revision``: what is older cannot be read; below 0, all can. What is there of it
        all the same goes with the steps of a compaction."""
        store = self._store
        store.current_revision = max(store.current_revision, compact_revision)
        if compact_revision > max(store.compact_revision, 0):
            store.compact(compact_revision)
        store.flush_meta()

    def _link(self, key: bytes) -> Link | None:
        """The key's newest record, if history has one."""
        store = self._store
        current = store.get(key)
        if current is not None:
            return store.history.link(key, current.mod_revision)
        place = store.tombstones.get(key) if store.has_tombstones else None
        if place is None:
            return None
        return store.history.link_at(decode_position(place))
