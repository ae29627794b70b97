"""append: lists that grow by read-modify-CAS, and reads of several lists at once.

Owns: the txns, whose order the lists themselves show afterwards. A list is one key's value; when it
is full its slot goes on under the next key, so that values stay short in long runs. Must never do:
append to a list without the compare that nobody else did.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from jepsen_like.checkers import append as appends
from jepsen_like.history.operation import Operation
from jepsen_like.history.ranges import prefix_end
from jepsen_like.history.request import Compare, Get, Put, Relation, Request, Target, Txn
from jepsen_like.workloads.checks import Assembled, Check
from jepsen_like.workloads.keyspace import Values
from jepsen_like.workloads.memory import Memory

PREFIX = "list/"
_SLOTS = 4
_ELEMENTS_MAX = 24


class AppendSession:
    def __init__(self, process: int, random: Random) -> None:
        self._values = Values(process)
        self._memory = Memory()
        self._random = random
        self._generations = [0] * _SLOTS

    def next(self, last: Operation | None) -> Request:
        self._memory.learn(last)
        slots = self._random.sample(range(_SLOTS), self._random.randint(1, 3))
        keys = [self._key(slot) for slot in slots]
        if self._random.random() < 0.35:
            return Txn((), tuple(Get(key) for key in keys))
        return self._append(keys[:2], keys[2:])

    def _append(self, grown: list[str], read: list[str]) -> Request:
        """A list never seen is taken as empty; the compare says if it is."""
        mods = self._memory.mods
        compares = (Compare(k, Target.MOD, Relation.EQUAL, mods.get(k, 0)) for k in grown)
        puts = (Put(key, self._longer(key)) for key in grown)
        gets = tuple(Get(key) for key in read)
        return Txn(tuple(compares), (*puts, *gets), tuple(Get(key) for key in (*grown, *read)))

    def _longer(self, key: str) -> str:
        value = self._memory.values.get(key)
        element = self._values.unique()
        return f"{value},{element}" if value else element

    def _key(self, slot: int) -> str:
        """The slot's newest list, as far as this client knows."""
        while True:
            key = f"{PREFIX}{slot}.{self._generations[slot]}"
            if self._memory.values.get(key, "").count(",") + 1 < _ELEMENTS_MAX:
                return key
            self._generations[slot] += 1


def append(general: Sequence[Check] = ()) -> Assembled:
    return Assembled(
        name="append",
        needs=frozenset({"kv"}),
        make_session=AppendSession,
        final_requests=(Get(PREFIX, prefix_end(PREFIX)),),
        checks=(appends.check, *general),
    )
