"""A store with a random history, and the backup that a follower would have made of it.

Owns: PastStore: writes of every kind, compactions, bases and log as files. Must never do: share
code with what restores them, beyond the store that is the oracle here.
"""

from __future__ import annotations

import hashlib
from itertools import count
from pathlib import Path
from random import Random

from raftkv.backend.environment import LmdbBackend
from raftkv.backend.schema import Meta, Table
from raftkv.backup.directory import BackupDirectory, Facts
from raftkv.backup.image import look_into
from raftkv.backup.record import Change, SegmentHead
from raftkv.backup.writing import LogWriter
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.codec import decode_key_value
from raftkv.mvcc.query import KeyValue
from raftkv.mvcc.store import Store
from raftkv.raft.message import ConfState
from raftkv.server.applied_state import AppliedState
from raftkv.wal.disk import OsDisk

CLUSTER_ID = 7
LONG = b"long" * 200
KEYS = (b"\0", b"a", b"a\0", b"b", b"c", LONG + b"x", LONG + b"y", b"\xff")
LEASES = (1, 2, -5)


class PastStore:
    """``at`` has every key at every revision; time goes on by a second per write."""

    def __init__(self, directory: Path, seed: int, *, segment_bytes: int = 2_000) -> None:
        directory.mkdir(exist_ok=True)
        self.random = Random(seed)
        self.backend = LmdbBackend(str(directory / "db"))
        applied = AppliedState(1, 1, ConfState(voters=(1,)))
        self.backend.put(Table.META, Meta.APPLIED, applied.encode())
        self.store = Store(self.backend)
        self.leases = LeaseBook(self.backend)
        self.at: dict[int, dict[bytes, KeyValue]] = {1: {}}
        self.time_ms: dict[int, int] = {1: 0}
        self.directory = BackupDirectory(OsDisk(), str(directory / "backup"))
        self.directory.disk.make_dir(self.directory.path)
        self._place = directory
        self._numbers = count()
        self._now_ms = 1_000_000
        head = SegmentHead(1, 1, CLUSTER_ID, self.store.current_revision + 1, "")
        self.writer = LogWriter(
            self.directory, lambda: self._now_ms, head, segment_bytes=segment_bytes
        )

    @property
    def revision(self) -> int:
        return self.store.current_revision

    def write(self) -> None:
        """One random txn: puts, deletes of ranges, leases; it may change nothing."""
        live = dict(self.at[self.revision])
        before = self.revision
        txn = self.store.begin()
        keys = self.random.sample(KEYS, self.random.randint(1, 4))
        for key in keys:
            if self.random.random() < 0.6:
                lease = self.random.choice((0, 0, *LEASES))
                if lease and not self.leases.exists(lease):
                    self.leases.grant(lease, 60)
                    self.writer.add_lease(lease, 60)
                value = self.random.randbytes(self.random.choice((0, 3, 200)))
                self.leases.put(key, txn.put(key, value, lease), lease)
            else:
                self.leases.deleted(txn.delete_range(key, b""))
        revision = txn.end()
        if revision == before:
            return
        self._now_ms += 1_000
        (happened,) = self.store.events_since(revision, 1)
        changes = [Change(event.is_delete, event.kv) for event in happened.events]
        self.writer.add_revision(revision, changes)
        if self.random.random() < 0.3:
            self.writer.write(self.writer.take())
        for change in changes:
            kv = decode_key_value(change.key_value)
            live.pop(kv.key, None)
            if not change.is_delete:
                live[kv.key] = kv
        self.at[revision], self.time_ms[revision] = live, self._now_ms

    def compact(self) -> None:
        revision = self.random.randint(1, self.revision)
        if revision > self.store.compact_revision:
            self.store.compact(revision)
            while not self.store.compact_step(3):
                pass

    def save_base(self) -> Facts:
        self.store.flush_meta()
        self.backend.commit()
        path = str(self._place / f"incoming-{next(self._numbers)}")
        self.backend.copy_to(path)
        image = Path(path).read_bytes()
        Path(path).write_bytes(image + hashlib.sha256(image).digest())
        status = look_into(path)
        facts = Facts(
            CLUSTER_ID, self._now_ms, status.revision, status.total_keys, status.hash,
            status.compact_revision,
        )  # fmt: skip
        self.directory.adopt_base(path, 1, facts)
        return facts

    def close(self) -> None:
        self.writer.write(self.writer.take())
        self.writer.close()
        self.backend.close()
