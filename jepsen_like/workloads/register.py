"""register: get, put and compare-and-swap on a few keys.

Owns: the smallest workload that shows stale reads and lost updates. Must never do: need more of a
store than single keys and a guarded put.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from jepsen_like.checkers import load
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Compare, Get, Put, Relation, Request, Target, Txn
from jepsen_like.workloads.checks import Assembled, Check
from jepsen_like.workloads.keyspace import Keys, Values
from jepsen_like.workloads.memory import Memory

KEYS = Keys("r", 5)
_SERIALIZABLE = 0.15  # of the gets


class RegisterSession:
    def __init__(self, process: int, random: Random) -> None:
        self._values = Values(process)
        self._memory = Memory()
        self._random = random

    def next(self, last: Operation | None) -> Request:
        self._memory.learn(last)
        key = KEYS.one(self._random)
        draws = (self._get, self._put, self._swap_by_revision, self._swap_by_value)
        return self._random.choices(draws, (35, 25, 25, 15))[0](key)

    def _get(self, key: str) -> Request:
        return Get(key, serializable=self._random.random() < _SERIALIZABLE)

    def _put(self, key: str) -> Request:
        return Put(key, self._values.unique())

    def _swap_by_revision(self, key: str) -> Request:
        """Revision 0, "not there yet", is as good a guess as any."""
        seen = self._memory.mods.get(key, 0)
        return self._swap(Compare(key, Target.MOD, Relation.EQUAL, seen))

    def _swap_by_value(self, key: str) -> Request:
        seen = self._memory.values.get(key)
        if seen is None:
            return Get(key)
        return self._swap(Compare(key, Target.VALUE, Relation.EQUAL, seen))

    def _swap(self, compare: Compare) -> Request:
        put = Put(compare.key, self._values.unique())
        return Txn((compare,), (put,), (Get(compare.key),))


def register(general: Sequence[Check] = ()) -> Assembled:
    return Assembled(
        name="register",
        needs=frozenset({"kv"}),
        make_session=RegisterSession,
        final_requests=(Get(*KEYS.whole),),
        checks=(load.operations, *general),
    )
