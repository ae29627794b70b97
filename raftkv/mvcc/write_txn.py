"""One write to the key space: any number of puts and deletes at one revision.

Owns: create_revision, mod_revision and version of what it writes, sub-revisions, and its events.
Must never do: wait, fail half-way, or give a revision to a txn that changed nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import google_crc32c

from raftkv.mvcc.codec import (
    encode_deletion,
    encode_row,
    revisions_of_row,
    row_body,
)
from raftkv.mvcc.heads import Head, encode_prefix, encode_version, head_of_row
from raftkv.mvcc.query import Event, KeyValue, RangeQuery, RangeResult
from raftkv.mvcc.range_reader import bounds
from raftkv.mvcc.record import Link, decode_position, encode_position

if TYPE_CHECKING:
    from raftkv.mvcc.store import Store


class WriteTxn:
    """Made by ``Store.begin``; nothing else may write until ``end``."""

    __slots__ = ("_ended", "_events", "_store", "_sub", "revision")

    def __init__(self, store: Store) -> None:
        self._store = store
        self.revision = store.current_revision + 1
        self._sub = 0
        self._events: list[Event] = []
        self._ended = False

    def put(self, key: bytes, value: bytes, lease: int) -> bytes | None:
        """Give ``key`` a new version; return the encoded KeyValue that it had, None for none."""
        store, revision = self._store, self.revision
        head = store.heads.get(key) or self._find_head(key)
        if head is None:
            last, previous_kv, version = self._revive(key), None, 1
            prefix = encode_prefix(key, revision)
        else:
            last, previous_kv, version = head.link, head.key_value, head.version + 1
            prefix = head.prefix
        encoded = encode_version(prefix, revision, version, value, lease)
        store.latest.put(key, encode_row(encoded))
        if store.ledger.is_on:
            store.ledger.note_put(len(encoded), previous_kv)
        if store.prefix_quotas.is_on:
            store.prefix_quotas.note_put(key, len(value), previous_kv)
        link = self._record(key, last, encoded, previous_kv, is_delete=False)
        store.heads.keep(key, Head(prefix, version, encoded, link))
        return previous_kv

    def _find_head(self, key: bytes) -> Head | None:
        store = self._store
        row = store.latest.get(key)
        if row is None:
            return None
        _, mod, _ = revisions_of_row(row)
        return head_of_row(key, row, store.history.link(key, mod))

    def get(self, key: bytes) -> KeyValue | None:
        return self._store.get(key)

    def range(self, query: RangeQuery) -> RangeResult:
        """As ``Store.range``, with this txn's own writes in the newest state."""
        result = self._store.range(query)
        if not self._sub:
            return result
        return RangeResult(result.pieces, result.count, result.more, self.revision)

    def delete_range(self, key: bytes, range_end: bytes) -> list[bytes]:
        """Delete every key of the range; return the encoded KeyValues that were, in order."""
        latest = self._store.latest
        if range_end:
            doomed = list(latest.scan(*bounds(key, range_end)))
        else:
            row = latest.get(key)
            doomed = [] if row is None else [(key, row)]
        return [self._delete(key, row) for key, row in doomed]

    def end(self) -> int:
        """Publish. Returns the revision for the answer's header."""
        assert not self._ended, f"txn at revision {self.revision} ended twice"
        self._ended = True
        return self._store.finish(self.revision, self._sub, self._events)

    def _delete(self, key: bytes, row: bytes) -> bytes:
        store = self._store
        previous_kv = row_body(row)
        _, mod, _ = revisions_of_row(row)
        last = store.history.link(key, mod)
        store.heads.drop(key)
        store.latest.delete(key)
        store.tombstones.put(key, encode_position((self.revision, self._sub)))
        store.has_tombstones = True
        deletion = encode_deletion(key, self.revision)
        if store.ledger.is_on:
            store.ledger.note_delete(len(deletion), previous_kv)
        if store.prefix_quotas.is_on:
            store.prefix_quotas.note_delete(key, previous_kv)
        self._record(key, last, deletion, previous_kv, is_delete=True)
        return previous_kv

    def _revive(self, key: bytes) -> Link | None:
        """The deletion of a key that is created anew, if history has it."""
        store = self._store
        if not store.has_tombstones:
            return None
        place = store.tombstones.get(key)
        if place is None:
            return None
        store.tombstones.delete(key)
        return store.history.link_at(decode_position(place))

    def _record(
        self,
        key: bytes,
        last: Link | None,
        encoded: bytes,
        previous_kv: bytes | None,
        *,
        is_delete: bool,
    ) -> Link:
        store, sub = self._store, self._sub
        store.digest = google_crc32c.extend(store.digest, encoded)
        self._sub = sub + 1
        link = store.history.append((self.revision, sub), last, encoded, is_tombstone=is_delete)
        if store.observer is not None:
            self._events.append(Event(key, self.revision, sub, is_delete, encoded, previous_kv))
        return link
