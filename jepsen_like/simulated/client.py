"""One client of a simulated cluster: its session's steps, one at a time.

Owns: which member is asked next, the pauses, and the history's lines. Must never do: look at a
member otherwise than through its gRPC services.
"""

from __future__ import annotations

from functools import partial
from random import Random

from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Request
from jepsen_like.history.result import Outcome
from jepsen_like.simulated.exchange import Exchange
from jepsen_like.simulated.watching import WatchClient
from jepsen_like.workloads.session import OpenWatch, Session
from raftkv.simulation.cluster import SimulatedCluster

STAYS = 0.9
"""How probable it is that a client goes on with the member that it asked last."""


class Client:
    """Runs from ``start`` until ``until_s``; ``done`` is then True."""

    def __init__(
        self,
        cluster: SimulatedCluster,
        process: int,
        session: Session,
        random: Random,
        history: History,
        *,
        think_s: float,
        until_s: float,
    ) -> None:
        self._cluster = cluster
        self._world = cluster.scheduler
        self._process = process
        self._session = session
        self._random = random
        self._history = history
        self._think_s = think_s
        self._until_s = until_s
        self._machine = random.choice(cluster.machines)
        self.done = False

    def start(self) -> None:
        self._world.call_later(self._random.uniform(0, self._think_s), partial(self._step, None))

    def _step(self, last: Operation | None) -> None:
        if self._world.now() >= self._until_s:
            self.done = True
            return
        if self._random.random() > STAYS:
            self._machine = self._random.choice(self._cluster.machines)
        step = self._session.next(last)
        if isinstance(step, OpenWatch):
            watching = WatchClient(self._world, self._machine, self._process, step, self._random)
            watching.start(partial(self._watched, watching))
        else:
            Exchange(self._world, self._machine, step, self._random).start(
                partial(self._answered, step, self._world.now())
            )

    def _answered(self, request: Request, called_s: float, outcome: Outcome) -> None:
        operation = Operation(
            self._process, self._machine.name, called_s, self._world.now(), request, outcome
        )
        self._history.operations.append(operation)
        self._pause(operation)

    def _watched(self, watching: WatchClient) -> None:
        self._history.watches.append(watching.watch)
        self._pause(None)

    def _pause(self, last: Operation | None) -> None:
        think = self._random.expovariate(1 / self._think_s)
        self._world.call_later(think, partial(self._step, last))
