"""A workload's sessions against a TinyEtcd, under virtual time, from one seed.

Owns: the order of things: each call takes effect at some moment between its call and its return,
a few answers are lost, and some of the lost requests take effect late or never.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

from jepsen_like.history.history import History
from jepsen_like.history.operation import Event, Operation, Watch, WatchResponse
from jepsen_like.history.ranges import covers
from jepsen_like.history.request import Request
from jepsen_like.history.result import Outcome, Unknown
from jepsen_like.workloads.session import OpenWatch, Session, Workload
from tests.jepsen_like.tiny_etcd import TinyEtcd

_HALF_TRIP_S = 0.02
_TIMEOUT_S = 0.2


class VirtualClients:
    def __init__(self, etcd: TinyEtcd, workload: Workload, seed: int, lost: float) -> None:
        self.history = History()
        self._etcd = etcd
        self._workload = workload
        self._random = Random(seed)
        self._lost = lost
        self._calendar: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._asked = 0
        self._asked_max = 0

    def run(self, clients: int, steps: int) -> None:
        """Asks ``steps`` times in total; then one client asks the final requests."""
        self._asked_max = steps
        for process in range(clients):
            session = self._workload.session(process, Random(self._random.random()))
            self._ask(process, session, None)
        self._exhaust()
        for request in self._workload.final():
            self._etcd.advance(self._etcd.now_s + 0.001)
            self._effect(request, clients, self._etcd.now_s)
            self._etcd.advance(self._etcd.now_s + 0.001)

    def _exhaust(self) -> None:
        while self._calendar:
            at_s, _, action = heapq.heappop(self._calendar)
            self._etcd.advance(at_s)
            action()

    def _at(self, at_s: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._calendar, (at_s, self._count, action))

    def _soon(self) -> float:
        return self._etcd.now_s + self._random.uniform(0.0001, _HALF_TRIP_S)

    def _ask(self, process: int, session: Session, last: Operation | None) -> None:
        if self._asked == self._asked_max:
            return
        self._asked += 1
        step = session.next(last)
        if isinstance(step, OpenWatch):
            opened_s = self._etcd.now_s
            closed_s = opened_s + step.for_s
            self._at(closed_s, lambda: self._close(process, session, step, opened_s))
        else:
            self._call(process, session, step)

    def _call(self, process: int, session: Session, request: Request) -> None:
        called_s = self._etcd.now_s

        def answer(outcome: Outcome) -> None:
            operation = self._record(process, request, called_s, outcome)
            self._ask(process, session, operation)

        def effect() -> None:
            outcome = self._etcd.apply(request)
            self._at(self._soon(), lambda: answer(outcome))

        if self._random.random() < self._lost:
            if self._random.random() < 0.5:
                late_s = called_s + self._random.uniform(0, 2 * _TIMEOUT_S)
                self._at(late_s, lambda: self._forget(request))
            lost = Unknown("DEADLINE_EXCEEDED", "no answer")
            self._at(called_s + _TIMEOUT_S, lambda: answer(lost))
        else:
            self._at(self._soon(), effect)

    def _forget(self, request: Request) -> None:
        self._etcd.apply(request)

    def _effect(self, request: Request, process: int, called_s: float) -> None:
        outcome = self._etcd.apply(request)
        self._etcd.advance(self._etcd.now_s + 0.001)
        self._record(process, request, called_s, outcome)

    def _record(
        self, process: int, request: Request, called_s: float, outcome: Outcome
    ) -> Operation:
        operation = Operation(process, "m0", called_s, self._etcd.now_s, request, outcome)
        self.history.operations.append(operation)
        return operation

    def _close(self, process: int, session: Session, step: OpenWatch, opened_s: float) -> None:
        responses = watched(self._etcd, step, opened_s)
        self.history.watches.append(
            Watch(
                process,
                "m0",
                step.key,
                step.end,
                step.start_revision,
                step.prev_kv,
                opened_s,
                self._etcd.now_s,
                responses,
            )
        )
        self._ask(process, session, None)


def watched(etcd: TinyEtcd, step: OpenWatch, opened_s: float) -> list[WatchResponse]:
    """What the watch delivered, found in the log at its end."""
    before = [revision for at_s, revision, _ in etcd.log if at_s <= opened_s]
    current = before[-1] if before else 1
    responses = [WatchResponse(opened_s, current, created=True)]
    start = step.start_revision or current + 1
    if start < etcd.compacted:
        gone = WatchResponse(opened_s, current, canceled=True, compact_revision=etcd.compacted)
        return [*responses, gone]
    seen = 0
    for at_s, revision, events in etcd.log:
        mine = tuple(_shown(e, step) for e in events if covers(step.key, step.end, e.kv.key))
        if revision < start or not mine:
            continue
        responses.append(WatchResponse(max(at_s, opened_s), revision, mine))
        seen += len(mine)
        if seen >= step.events_max:
            return responses
    if step.progress:
        responses.append(WatchResponse(etcd.now_s, etcd.revision))
    return responses


def _shown(event: Event, step: OpenWatch) -> Event:
    return event if step.prev_kv else Event(event.is_delete, event.kv)


def run(
    workload: Workload,
    seed: int,
    *,
    steps: int = 600,
    clients: int = 6,
    lost: float = 0.03,
    etcd: TinyEtcd | None = None,
) -> History:
    """One run's history."""
    driver = VirtualClients(etcd or TinyEtcd(), workload, seed, lost)
    driver.run(clients, steps)
    return driver.history
