"""One number for all that was ever applied, to compare members by at any index of the log.

Owns: the chain: CRC-32C over the KeyValue of every version and deletion, in order, and after each
entry over what else it led to (revisions, leases, users). Must never do: cover what members may
differ in: how a record is linked to those before it depends on how far compaction has come.

A bug that has one member apply an entry differently shows in its digest at that entry and ever
after. It says nothing of what a disk did to a row later: ``backend.checked`` does.

Members agree on where the chain begins: at a STATE_ORIGIN entry, which the leader proposes when it
knows of none. Who has a database from before, or one that an older version has written to since,
does not know its digest until the next such entry, or a snapshot.
"""

from __future__ import annotations

import struct
from collections import OrderedDict

import google_crc32c

from raftkv.apply.header import HeaderEncoder
from raftkv.apply.state import State
from raftkv.auth.book import AuthBook
from raftkv.backend.environment import Backend
from raftkv.backend.schema import Meta, Table
from raftkv.errors import MalformedRequest
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.store import Store

KEPT_MAX = 4_096
"""Digests of so many last entries can be asked for."""
_ENTRY = struct.Struct(">QqqQI")


class StateDigest:
    def __init__(
        self, store: Store, leases: LeaseBook, auth: AuthBook, backend: Backend, applied: int
    ) -> None:
        self._store = store
        self._leases = leases
        self._auth = auth
        self._backend = backend
        self._at: OrderedDict[int, int] = OrderedDict()
        self.is_known = False
        self.reload(applied)

    def at(self, index: int) -> int | None:
        """The digest after the entry at ``index``; None when it is not known any more, or yet."""
        return self._at.get(index)

    def begin(self) -> None:
        """The chain begins with the entry that is being applied."""
        self._store.digest = 0
        self._at.clear()
        self.is_known = True

    def note(self, index: int) -> None:
        """The entry at ``index`` was applied."""
        if not self.is_known:
            return
        store = self._store
        facts = _ENTRY.pack(
            index,
            store.current_revision,
            store.compact_revision,
            self._auth.revision,
            len(self._leases.leases),
        )
        store.digest = google_crc32c.extend(store.digest, facts)
        self._at[index] = store.digest
        if len(self._at) > KEPT_MAX:
            self._at.popitem(last=False)

    def flush(self, applied: int) -> None:
        """Write it down, in the transaction that says ``applied``."""
        if self.is_known:
            self._backend.put(Table.META, Meta.DIGEST, b"%d %d" % (applied, self._store.digest))

    def reload(self, applied: int) -> None:
        """The database was opened, or replaced."""
        self._at.clear()
        index, _, digest = (self._backend.get(Table.META, Meta.DIGEST) or b"").partition(b" ")
        self.is_known = index == b"%d" % applied
        self._store.digest = int(digest) if self.is_known else 0
        if self.is_known:
            self._at[applied] = self._store.digest


def apply_state_origin(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    """The reply is empty: members alone ask for this."""
    if payload:
        raise MalformedRequest(f"{len(payload)} bytes in a request that has none")
    state.begin_digest()
    return b""
