"""Ranges that are too long for one turn of the loop: each turn reads a step of one of them.

Owns: which are under way, whose turn it is, and that each call is answered once. Must never do:
take two steps in one turn, however many long ranges there are: puts and heartbeats wait for one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from raftkv.errors import Compacted, RaftKVError, TooManyRequests
from raftkv.mvcc.query import RangeResult
from raftkv.mvcc.range_steps import RangeSteps
from raftkv.rpc.errors import status_of
from raftkv.rpc.member import KvMember
from raftkv.rpc.unary import Reply, answer
from raftkv.wire.service import UnaryCall

LONG_RANGES_MAX = 256
"""Under way at one member; beyond it clients get "too many requests"."""
TRIES_MAX = 3
"""How often compaction may overtake a range of the newest state, which then begins anew."""

Finish = Callable[[RangeResult], bytes | list[bytes]]


@dataclass(slots=True)
class _Range:
    call: UnaryCall
    steps: RangeSteps
    tries: int = 1


class LongRanges:
    """``finish`` makes a result the answer's bytes."""

    def __init__(self, member: KvMember, finish: Finish) -> None:
        self._member = member
        self._finish = finish
        self._ranges: deque[_Range] = deque()

    def add(self, call: UnaryCall, steps: RangeSteps) -> None:
        """Answer ``call`` once all was read. Raises TooManyRequests."""
        if len(self._ranges) >= LONG_RANGES_MAX:
            raise TooManyRequests(f"{len(self._ranges)} long ranges are read, the limit is as many")
        self._ranges.append(_Range(call, steps))
        if len(self._ranges) == 1:
            self._member.scheduler.call_soon(self._turn)

    def _turn(self) -> None:
        # While a commit holds the database, the step waits for its end.
        self._member.read_local(self._step)

    def _step(self, error: RaftKVError | None) -> None:
        one = self._ranges.popleft()
        if error is not None:
            one.call.fail(status_of(error))
        elif not one.call.cancelled:
            answer(one.call, lambda: self._answer_of(one))
        if self._ranges:
            self._member.scheduler.call_soon(self._turn)

    def _answer_of(self, one: _Range) -> Reply:
        """None while there is more to read: then it has another turn, after all others."""
        try:
            result = one.steps.step()
        except Compacted:
            if one.steps.query.revision > 0:
                raise  # it was asked for as it was then, and is gone
            result = self._begin_anew(one)
        if result is not None:
            return self._finish(result)
        self._ranges.append(one)
        return None

    def _begin_anew(self, one: _Range) -> RangeResult | None:
        """The newest state may as well be that of a later moment."""
        query, store = one.steps.query, self._member.store
        if one.tries == TRIES_MAX:
            return store.range(query)
        begun = store.begin_range(query)
        if isinstance(begun, RangeResult):
            return begun
        one.steps, one.tries = begun, one.tries + 1
        return None
