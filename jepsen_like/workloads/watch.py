"""watch: half of the clients write, the others watch from the past, the present and the future.

Owns: the start offsets, -100 to +100 of the last revision seen, as etcd's robustness tests have
them. A watcher asks for the revision before each watch, for a watch tells its session nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from jepsen_like.checkers import load
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Compact, Delete, Get, Put, Request
from jepsen_like.workloads.checks import Assembled, Check
from jepsen_like.workloads.keyspace import Keys, Values
from jepsen_like.workloads.memory import Memory
from jepsen_like.workloads.session import OpenWatch, Session, Step
from jepsen_like.workloads.txn import TxnDraw

KEYS = Keys("w", 8)
_OFFSET_MAX = 100
_COMPACT = 0.015
_LONG, _LONG_S, _LONG_EVENTS = 0.15, 20.0, 100_000
"""Long enough to be open on a member that is cut off until it needs a snapshot (etcd #15271)."""
_OLD_READS = 0.0  # they say nothing of watches, and etcd diverges on them (#18667): see mix-plain


class WriterSession:
    def __init__(self, process: int, random: Random) -> None:
        self._values = Values(process)
        self._memory = Memory()
        self._random = random
        self._txns = TxnDraw(KEYS, self._values, self._memory, random, _OLD_READS)

    def next(self, last: Operation | None) -> Request:
        self._memory.learn(last)
        if self._memory.revision and self._random.random() < _COMPACT:
            return Compact(self._memory.recent_revision(self._random))
        draws = (self._put, self._delete, self._range_delete, self._txns.txn)
        return self._random.choices(draws, (60, 15, 5, 20))[0]()

    def _put(self) -> Request:
        return Put(KEYS.one(self._random), self._values.unique())

    def _delete(self) -> Request:
        return Delete(KEYS.one(self._random))

    def _range_delete(self) -> Request:
        return Delete(*KEYS.span(self._random))


class WatcherSession:
    def __init__(self, process: int, random: Random) -> None:
        del process  # it writes nothing
        self._memory = Memory()
        self._random = random

    def next(self, last: Operation | None) -> Step:
        if last is None:
            return Get(*KEYS.whole)
        self._memory.learn(last)
        key, end = self._keys()
        is_long = self._random.random() < _LONG
        return OpenWatch(
            key,
            end,
            start_revision=self._start(),
            prev_kv=self._random.random() < 0.5,
            for_s=_LONG_S if is_long else self._random.uniform(0.2, 2.0),
            events_max=_LONG_EVENTS if is_long else self._random.choice((10, 100, 1000)),
        )

    def _keys(self) -> tuple[str, str]:
        if self._random.random() < 0.2:
            return KEYS.one(self._random), ""
        return KEYS.any_range(self._random)

    def _start(self) -> int:
        """0, "from now on", once in ten."""
        if self._random.random() < 0.1:
            return 0
        offset = self._random.randint(-_OFFSET_MAX, _OFFSET_MAX)
        return max(1, self._memory.revision + offset)


def _session(process: int, random: Random) -> Session:
    return WatcherSession(process, random) if process % 2 else WriterSession(process, random)


def watch(general: Sequence[Check] = ()) -> Assembled:
    return Assembled(
        name="watch",
        needs=frozenset({"kv", "watch"}),
        make_session=_session,
        final_requests=(Get(*KEYS.whole),),
        checks=(load.operations, load.events, *general),
    )
