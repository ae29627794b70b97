"""set: each element is a key of its own, added once, perhaps removed once by who added it.

Owns: that bookkeeping. Must never do: remove an element before its add was acknowledged; else a
late add would look like a resurrection.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from jepsen_like.checkers import set as sets
from jepsen_like.history.operation import Operation
from jepsen_like.history.ranges import prefix_end
from jepsen_like.history.request import Delete, Get, Put, Request
from jepsen_like.history.result import Written
from jepsen_like.workloads.checks import Assembled, Check
from jepsen_like.workloads.keyspace import Values

PREFIX = "set/"
_WHOLE = Get(PREFIX, prefix_end(PREFIX))


class SetSession:
    def __init__(self, process: int, random: Random) -> None:
        self._values = Values(process)
        self._random = random
        self._held: list[str] = []  # acknowledged, not yet removed, mine

    def next(self, last: Operation | None) -> Request:
        if last is not None and isinstance(last.outcome, Written):
            assert isinstance(last.request, Put)
            self._held.append(last.request.key)
        draws = (self._add, self._remove, self._test, self._read)
        return self._random.choices(draws, (56, 32, 8, 4))[0]()

    def _add(self) -> Request:
        element = self._values.unique()
        return Put(PREFIX + element, element)

    def _remove(self) -> Request:
        if not self._held:
            return self._add()
        return Delete(self._held.pop(self._random.randrange(len(self._held))))

    def _test(self) -> Request:
        return Get(self._random.choice(self._held)) if self._held else self._add()

    def _read(self) -> Request:
        return _WHOLE


def elements(general: Sequence[Check] = ()) -> Assembled:
    return Assembled(
        name="set",
        needs=frozenset({"kv"}),
        make_session=SetSession,
        final_requests=(_WHOLE,),
        checks=(sets.check, *general),
    )
