"""mix: all that etcd's key-value API can do, on a few keys; mix-plain: without one of its bugs.

Owns: the proportions. Compaction lags behind by up to 30 revisions, and hits revisions of deletes
more often than chance would: that is where etcd lost events (#18089, #19179). In mix-plain no read
of a txn names a revision: etcd 3.4 and 3.5 diverge on such a txn (#18667), which would hide all
else that a run of them could show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from random import Random

from jepsen_like.checkers import load
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Compact, Delete, Get, Put, Request
from jepsen_like.workloads.checks import Assembled, Check
from jepsen_like.workloads.keyspace import Keys, Values
from jepsen_like.workloads.memory import Memory
from jepsen_like.workloads.txn import OLD_READS, TxnDraw

KEYS = Keys("k", 8)
_SERIALIZABLE = 0.1  # of the gets


class MixSession:
    def __init__(self, process: int, random: Random, *, old_reads: float = OLD_READS) -> None:
        self._values = Values(process)
        self._memory = Memory()
        self._random = random
        self._txns = TxnDraw(KEYS, self._values, self._memory, random, old_reads)
        self._draws = {
            self._put: 40,
            self._get: 16,
            self._range: 10,
            self._old_get: 8,
            self._delete: 7,
            self._range_delete: 3,
            self._txns.txn: 14,
            self._compact: 2,
        }

    def next(self, last: Operation | None) -> Request:
        self._memory.learn(last)
        return self._random.choices(list(self._draws), list(self._draws.values()))[0]()

    def _put(self) -> Request:
        return Put(KEYS.one(self._random), self._values.unique())

    def _get(self) -> Request:
        serializable = self._random.random() < _SERIALIZABLE
        return Get(KEYS.one(self._random), serializable=serializable)

    def _range(self) -> Request:
        limit = self._random.choice((0, 1, 2, 3, 8))
        return Get(*KEYS.any_range(self._random), limit=limit)

    def _old_get(self) -> Request:
        """Of one key or of all; a compacted revision is refused, which is checked too."""
        revision = self._memory.recent_revision(self._random) if self._memory.revision else 0
        if self._random.random() < 0.5:
            return Get(KEYS.one(self._random), revision=revision)
        return Get(*KEYS.whole, revision=revision, limit=self._random.choice((0, 0, 2)))

    def _delete(self) -> Request:
        return Delete(KEYS.one(self._random))

    def _range_delete(self) -> Request:
        return Delete(*KEYS.span(self._random))

    def _compact(self) -> Request:
        if not self._memory.revision:
            return Get(KEYS.one(self._random))
        physical = self._random.random() < 0.5
        return Compact(self._memory.recent_revision(self._random), physical)


def mix(general: Sequence[Check] = ()) -> Assembled:
    return Assembled(
        name="mix",
        needs=frozenset({"kv"}),
        make_session=MixSession,
        final_requests=(Get(*KEYS.whole),),
        checks=(load.operations, *general),
    )


def mix_plain(general: Sequence[Check] = ()) -> Assembled:
    return replace(mix(general), name="mix-plain", make_session=partial(MixSession, old_reads=0.0))
