"""A snapshot of etcd's becomes one of raftkv's.

Owns: what goes into which table: all history with its revisions, leases with the keys on them,
users and roles. Must never do: make a member: `raftkv ctl snapshot restore` does, from this file.
Left behind are etcd's members, its place in its log and its alarms: they are another cluster's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from raftkv.auth.book import AuthBook
from raftkv.backend.environment import Backend
from raftkv.backend.ordered_keys import OrderedKeys
from raftkv.backend.schema import Meta, Table
from raftkv.errors import ConfigError, Corrupt
from raftkv.lease.book import LeaseBook
from raftkv.migration.etcd_snapshot import EtcdSnapshot
from raftkv.mvcc.codec import lease_of, row_body
from raftkv.mvcc.replay import Replay
from raftkv.mvcc.store import Store
from raftkv.raft.message import ConfState
from raftkv.server.applied_state import AppliedState
from raftkv.server.foundation import BOOTSTRAP_INDEX, BOOTSTRAP_TERM, OpenBackend
from raftkv.wal.disk import Disk

COMMIT_BYTES = 64 << 20
"""What is written between two commits."""
LOOK_RECORDS = 1_000
"""Between two looks at whether to commit, and two words of progress."""


@dataclass(frozen=True, slots=True)
class Converted:
    """``hash`` is HashKV's at ``revision``: etcd's own at that revision is equal."""

    records: int
    revision: int
    compact_revision: int
    keys: int
    leases: int
    users: int
    roles: int
    hash: int


def convert(
    source: EtcdSnapshot,
    target: str,
    disk: Disk,
    open_backend: OpenBackend,
    progress: Callable[[int], None] = lambda records: None,
) -> Converted:
    """Write the snapshot file ``target``, durably and whole or not at all. Raises ConfigError when
    there is such a file, Corrupt for what ``source`` cannot mean, OSError."""
    if disk.exists(target):
        raise ConfigError(f"{target} exists: choose another name, or remove it")
    image, part = f"{target}.image", f"{target}.part"
    for left in (image, part):
        disk.remove(left)
    try:
        backend = open_backend(image)
        try:
            converted = _fill(backend, source, progress)
        finally:
            backend.close()
        _sign(image, part, disk)
        disk.rename(part, target)
        disk.sync_dir(target.rpartition("/")[0] or ".")
    finally:
        for left in (image, f"{image}-lock", part):
            disk.remove(left)
    return converted


def _fill(backend: Backend, source: EtcdSnapshot, progress: Callable[[int], None]) -> Converted:
    store = Store(backend)
    records = _replay(backend, store, source, progress)
    leases = _leases(backend, store, source)
    users = _rows(OrderedKeys(backend, Table.AUTH_USERS), source.users())
    roles = _rows(OrderedKeys(backend, Table.AUTH_ROLES), source.roles())
    if source.auth_enabled:
        backend.put(Table.META, Meta.AUTH_ENABLED, b"1")
    if source.auth_revision:
        backend.put(Table.META, Meta.AUTH_REVISION, b"%d" % source.auth_revision)
    AuthBook(backend)  # a row that it cannot read, no member could
    applied = AppliedState(BOOTSTRAP_INDEX, BOOTSTRAP_TERM, ConfState())
    backend.put(Table.META, Meta.APPLIED, applied.encode())
    store.flush_meta()
    backend.commit()
    hashed = store.hash_kv(0)
    keys, _ = store.latest.count(b"", None)
    return Converted(
        records,
        store.current_revision,
        store.compact_revision,
        keys,
        leases,
        users,
        roles,
        hashed.hash,
    )


def _replay(
    backend: Backend, store: Store, source: EtcdSnapshot, progress: Callable[[int], None]
) -> int:
    replay, records = Replay(store), 0
    for records, record in enumerate(source.records(), start=1):
        replay.add(record.main, record.sub, record.key_value, is_tombstone=record.is_tombstone)
        if records % LOOK_RECORDS == 0:
            progress(records)
            if backend.dirty_bytes >= COMMIT_BYTES:
                backend.commit()
    replay.finish(source.compact_revision)
    return records


def _leases(backend: Backend, store: Store, source: EtcdSnapshot) -> int:
    """Keys name their leases; etcd too finds out at a start which keys hang on which."""
    book = LeaseBook(backend)
    for lease in source.leases():
        if book.exists(lease.id):
            raise Corrupt(f"there are two leases {lease.id:x}")
        book.grant(lease.id, lease.ttl_s)
        if lease.remaining_s:
            book.checkpoint(lease.id, lease.remaining_s)
    for key, row in store.latest.scan(b"", None):
        lease_id = lease_of(row_body(row))
        if lease_id and book.exists(lease_id):
            book.put(key, None, lease_id)
    return len(book.leases)


def _rows(table: OrderedKeys, rows: Iterator[tuple[bytes, bytes]]) -> int:
    found = dict(rows)
    for name, row in found.items():
        table.put(name, row)
    return len(found)


def _sign(image: str, target: str, disk: Disk) -> None:
    """The image and its SHA-256, as a saved snapshot is."""
    file, digest = disk.create(target), hashlib.sha256()
    try:
        for chunk in disk.chunks(image):
            digest.update(chunk)
            file.write(chunk)
        file.write(digest.digest())
        file.sync()
    finally:
        file.close()
