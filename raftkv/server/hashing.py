"""HashKV and Hash in bounded steps beside traffic.

Owns: the hashes that are asked for, one step of the oldest per turn, and beginning anew when a
compaction or a snapshot changed what is hashed. Must never do: run while the backend commits;
``background`` calls ``step`` when it may.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

from raftkv.backend.environment import Backend
from raftkv.errors import Corrupt, RaftKVError, TooManyRequests
from raftkv.mvcc.compaction import NEVER
from raftkv.mvcc.hash import BackendHash, HashResult, HistoryHash
from raftkv.mvcc.store import Store

WAITING_MAX = 64
HashDone = Callable[[HashResult | RaftKVError], None]
CrcDone = Callable[[int | RaftKVError], None]


class Hashing:
    def __init__(self, store: Store, backend: Backend) -> None:
        self._store = store
        self._backend = backend
        self._jobs: deque[_HistoryJob | _BackendJob] = deque()
        self.unreadable: Callable[[Corrupt], None] = lambda error: None
        """Told of a history that is damaged so that it cannot even be hashed."""

    @property
    def is_waiting(self) -> bool:
        return bool(self._jobs)

    def hash_kv(self, revision: int, done: HashDone, compacted: int = NEVER) -> None:
        """The hash at ``revision``, at the current one with 0 or less, as if compacted at
        ``compacted`` at least. Raises Compacted, FutureRevision and TooManyRequests."""
        self._check_bound()
        revision = revision if revision > 0 else self._store.current_revision
        job = _HistoryJob(self._store, revision, compacted, done, lambda e: self.unreadable(e))
        self._jobs.append(job)

    def hash_backend(self, done: CrcDone) -> None:
        """Raises TooManyRequests."""
        self._check_bound()
        self._jobs.append(_BackendJob(BackendHash(self._backend), done))

    def step(self, records_max: int) -> None:
        if self._jobs and self._jobs[0].step(records_max):
            self._jobs.popleft()

    def fail_all(self, error: RaftKVError) -> None:
        jobs, self._jobs = self._jobs, deque()
        for job in jobs:
            job.done(error)

    def _check_bound(self) -> None:
        if len(self._jobs) >= WAITING_MAX:
            raise TooManyRequests(f"{len(self._jobs)} hashes wait, the limit is as many")


class _HistoryJob:
    """Made anew until no compaction and no snapshot came in between."""

    def __init__(
        self,
        store: Store,
        revision: int,
        compacted: int,
        done: HashDone,
        unreadable: Callable[[Corrupt], None],
    ) -> None:
        self.done = done
        self._unreadable = unreadable
        self._store = store
        self._revision = revision
        self._compacted = compacted
        self._begin()

    def _begin(self) -> HistoryHash:
        self._seen = (self._store.generation, self._store.compact_revision)
        self._run = self._store.begin_hash(self._revision, self._compacted)
        return self._run

    def step(self, records_max: int) -> bool:
        """True once it is answered."""
        run, store = self._run, self._store
        if self._seen != (store.generation, store.compact_revision):
            try:
                run = self._begin()
            except RaftKVError as error:
                self.done(error)
                return True
        try:
            if not run.step(records_max):
                return False
        except (struct.error, ValueError, IndexError) as error:
            unreadable = Corrupt(f"the history cannot be read: {error}")
            self._unreadable(unreadable)
            self.done(unreadable)
            return True
        self.done(run.result)
        return True


class _BackendJob:
    def __init__(self, run: BackendHash, done: CrcDone) -> None:
        self.done = done
        self._run = run

    def step(self, records_max: int) -> bool:
        """True once it is answered."""
        if not self._run.step(records_max):
            return False
        self.done(self._run.crc)
        return True
