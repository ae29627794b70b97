"""kubernetes: one client in three lists and watches, the others write under optimistic locks.

Owns: the requests as kube-apiserver makes them: create if mod_revision is 0; update and delete if
mod_revision is what was read, else read again; a list in pages, all at the first one's revision;
then a watch from the next revision on. Must never do: write without a compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from jepsen_like.checkers import informer, load
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import (
    Compact,
    Compare,
    Delete,
    Get,
    KeyOp,
    Put,
    Relation,
    Request,
    Target,
    Txn,
)
from jepsen_like.history.result import Found
from jepsen_like.workloads.checks import Assembled, Check
from jepsen_like.workloads.keyspace import Keys, Values
from jepsen_like.workloads.memory import Memory
from jepsen_like.workloads.session import OpenWatch, Session, Step

KEYS = Keys("pods/", 8)
_COMPACT = 0.01


class InformerSession:
    """A watch's end is not told to its session: it lists again, as after "too old"."""

    def __init__(self, process: int, random: Random) -> None:
        del process  # it writes nothing
        self._random = random
        self._revision = 0  # of the list under way; 0: none
        self._limit = 0

    def next(self, last: Operation | None) -> Step:
        outcome = last.outcome if last is not None else None
        if not isinstance(outcome, Found):  # first, after a watch, or compacted meanwhile
            self._revision, self._limit = 0, self._random.choice((0, 1, 3))
            return Get(*KEYS.whole, limit=self._limit)
        self._revision = self._revision or outcome.revision
        if outcome.more:
            rest = outcome.kvs[-1].key + "\0"
            return Get(rest, KEYS.whole[1], self._revision, self._limit)
        return OpenWatch(
            *KEYS.whole,
            start_revision=self._revision + 1,
            prev_kv=True,
            for_s=self._random.uniform(0.3, 3.0),
        )


class ControllerSession:
    def __init__(self, process: int, random: Random) -> None:
        self._values = Values(process)
        self._memory = Memory()
        self._random = random

    def next(self, last: Operation | None) -> Request:
        self._memory.learn(last)
        if self._memory.revision and self._random.random() < _COMPACT:
            return Compact(self._memory.recent_revision(self._random))
        key = KEYS.one(self._random)
        mod = self._memory.mods.get(key)
        if mod is None:
            return Get(key)
        if mod == 0:
            return self._if(key, 0, Put(key, self._values.unique()))
        if self._random.random() < 0.3:
            return self._if(key, mod, Delete(key))
        return self._if(key, mod, Put(key, self._values.unique()))

    def _if(self, key: str, mod: int, op: KeyOp) -> Request:
        return Txn((Compare(key, Target.MOD, Relation.EQUAL, mod),), (op,), (Get(key),))


def _session(process: int, random: Random) -> Session:
    return ControllerSession(process, random) if process % 3 else InformerSession(process, random)


def kubernetes(general: Sequence[Check] = ()) -> Assembled:
    return Assembled(
        name="kubernetes",
        needs=frozenset({"kv", "watch"}),
        make_session=_session,
        final_requests=(Get(*KEYS.whole),),
        checks=(load.operations, informer.check, *general),
    )
