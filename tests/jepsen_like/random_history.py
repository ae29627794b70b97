"""Random histories that a right etcd could have made, from a seed.

Owns: Mix, what clients ask, and RandomRun, which runs the model under a virtual clock: each call
takes effect at one moment between its begin and its end; an unanswered one at any later moment, or
never. Must never do: use the checkers.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from random import Random

from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation, Watch, WatchResponse
from jepsen_like.history.request import (
    Compact,
    Compare,
    Delete,
    Get,
    Grant,
    KeyOp,
    Put,
    Relation,
    Request,
    Revoke,
    Target,
    Txn,
)
from jepsen_like.history.result import Found, Outcome, Unknown
from jepsen_like.model.etcd import EtcdModel
from jepsen_like.model.keyspace import covers


@dataclass(frozen=True)
class Mix:
    """``unknown``: how many calls get no answer; ``lost``: how many of these never happen."""

    processes: int = 4
    keys: int = 3
    unknown: float = 0.1
    lost: float = 0.5
    compactions: bool = True
    leases: bool = True
    values: int | None = None  # as many different ones; None: each is written once


@dataclass(order=True)
class _Moment:
    at_s: float
    process: int
    kind: str = field(compare=False)
    call: _Call | None = field(compare=False, default=None)


@dataclass
class _Call:
    process: int
    request: Request
    called_s: float
    answer: bool
    outcome: Outcome | None = None


class RandomRun:
    """``run`` gives the history; ``model`` is then what really happened."""

    def __init__(self, random: Random, mix: Mix) -> None:
        self.model = EtcdModel()
        self._random = random
        self._mix = mix
        self._moments: list[_Moment] = []
        self._history = History()
        self._written = 0
        self._leases = 0
        self._left = 0

    def run(self, operations: int) -> History:
        self._left = operations
        for process in range(self._mix.processes):
            self._plan(_Moment(self._random.random(), process, "call"))
        while self._moments:
            moment = heapq.heappop(self._moments)
            if moment.kind == "call":
                self._begin(moment)
            elif moment.call is not None:
                self._go_on(moment, moment.call)
        return self._history

    def watch(self, key: str, end: str, start: int, *, prev_kv: bool = False) -> Watch:
        """A right watch that was opened after everything, in one or more batches."""
        model, now = self.model, 1e9
        watch = Watch(9, "m0", key, end, start, prev_kv, opened_s=now, closed_s=now + 60)
        watch.responses.append(WatchResponse(now, model.revision, created=True))
        for revision in range(max(start, 1), model.revision + 1):
            events = [e for e in model.events(revision) if covers(key, end, e.kv.key)]
            if not prev_kv or revision - 1 < model.compact_revision:
                events = [type(e)(e.is_delete, e.kv) for e in events]
            if events:
                watch.responses.append(WatchResponse(now + 1, model.revision, tuple(events)))
        watch.responses.append(WatchResponse(now + 2, model.revision))
        return watch

    # --- the clock --------------------------------------------------------------------------------

    def _plan(self, moment: _Moment) -> None:
        heapq.heappush(self._moments, moment)

    def _begin(self, moment: _Moment) -> None:
        if not self._left:
            return
        self._left -= 1
        random, mix = self._random, self._mix
        call = _Call(moment.process, self.request(), moment.at_s, random.random() >= mix.unknown)
        effect_s = moment.at_s + random.random()
        if call.answer:
            self._plan(_Moment(effect_s, moment.process, "effect", call))
            return
        if random.random() >= mix.lost:
            later_s = moment.at_s + random.expovariate(0.5)
            self._plan(_Moment(later_s, moment.process, "effect", call))
        call.outcome = Unknown("UNAVAILABLE", "lost")
        self._plan(_Moment(effect_s, moment.process, "return", call))

    def _go_on(self, moment: _Moment, call: _Call) -> None:
        if moment.kind == "effect":
            answer = self._answer(call.request)
            if call.answer:
                call.outcome = answer
                returned_s = moment.at_s + self._random.random()
                self._plan(_Moment(returned_s, moment.process, "return", call))
            return
        assert call.outcome is not None
        self._history.operations.append(
            Operation(call.process, "m0", call.called_s, moment.at_s, call.request, call.outcome)
        )
        self._plan(_Moment(moment.at_s + self._random.random(), moment.process, "call"))

    def _answer(self, request: Request) -> Outcome:
        """A serializable read sees what some member saw a while ago."""
        if isinstance(request, Get) and request.serializable:
            oldest = max(1, self.model.revision - 5)
            revision = self._random.randint(oldest, self.model.revision)
            return self.model.keys.get(request, header=revision)
        return self.model.step(request)

    # --- what is asked ----------------------------------------------------------------------------

    def request(self) -> Request:
        random = self._random
        chance = random.random()
        if chance < 0.3:
            return self._put()
        if chance < 0.55:
            return self._get()
        if chance < 0.65:
            return Delete(self._key(), random.choice(("", "", "\0")))
        if chance < 0.9 or not (self._mix.compactions or self._mix.leases):
            return self._txn()
        if chance < 0.94 and self._mix.compactions:
            return Compact(max(1, self.model.revision + random.randint(-3, 1)))
        if self._mix.leases and (chance < 0.98 or not self._leases):
            self._leases += 1
            return Grant(self._leases, 60)
        return Revoke(random.randint(1, self._leases)) if self._leases else self._txn()

    def _key(self) -> str:
        return f"k{self._random.randrange(self._mix.keys)}"

    def _put(self) -> Put:
        self._written += 1
        values = self._mix.values
        value = self._written if values is None else self._random.randrange(values)
        lease = 0
        if self._leases and self._random.random() < 0.3:
            lease = self._random.randint(1, self._leases)
        return Put(self._key(), str(value), lease)

    def _get(self) -> Get:
        random = self._random
        key, end = (self._key(), "") if random.random() < 0.6 else ("k", "l")
        if random.random() < 0.15:
            return Get(key, end, serializable=True)
        revision = 0
        if random.random() < 0.2:
            revision = max(1, self.model.revision + random.randint(-4, 1))
        return Get(key, end, revision, limit=random.choice((0, 0, 1, 2)))

    def _txn(self) -> Txn:
        random = self._random
        key = self._key()
        kv = self.model.keys.newest(key)
        guess = kv.mod_revision if kv and random.random() < 0.7 else random.randint(0, 3)
        compare = Compare(key, random.choice((Target.MOD, Target.VERSION)), Relation.EQUAL, guess)
        return Txn((compare,), self._branch(), self._branch())

    def _branch(self) -> tuple[KeyOp, ...]:
        random = self._random
        ops: list[KeyOp] = []
        for name in random.sample([f"k{i}" for i in range(self._mix.keys)], k=random.randint(0, 2)):
            put = self._put()
            ops.append(random.choice((Put(name, put.value, put.lease), Delete(name), Get(name))))
        return tuple(ops)


def found(outcome: Outcome) -> Found:
    """For tests that change what a read found."""
    assert isinstance(outcome, Found)
    return outcome
