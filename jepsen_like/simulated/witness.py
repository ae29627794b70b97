"""A client that watches every key from the first revision to the last.

Owns: going on, at another member, where the last watch ended. What it saw tells the checkers which
of the unanswered writes happened. Must never do: fill a gap: what was compacted before it was seen
stays unseen.
"""

from __future__ import annotations

from functools import partial
from random import Random

from jepsen_like.history.history import History
from jepsen_like.history.operation import Watch
from jepsen_like.simulated.watching import WatchClient
from jepsen_like.workloads.witness import next_stretch, seen_after
from raftkv.simulation.cluster import SimulatedCluster

STRETCH_S = 3.0


class Witness:
    """``seen_revision``: everything up to it has been seen, or compacted."""

    def __init__(
        self, cluster: SimulatedCluster, process: int, random: Random, history: History
    ) -> None:
        self._cluster = cluster
        self._process = process
        self._random = random
        self._history = history
        self._stopped = False
        self.seen_revision = 0

    def start(self) -> None:
        step = next_stretch(self.seen_revision, STRETCH_S)
        machine = self._random.choice(self._cluster.machines)
        watching = WatchClient(self._cluster.scheduler, machine, self._process, step, self._random)
        watching.start(partial(self._ended, watching.watch))

    def stop(self) -> None:
        self._stopped = True

    def _ended(self, watch: Watch) -> None:
        self._history.watches.append(watch)
        self.seen_revision = seen_after(watch, self.seen_revision)
        if not self._stopped:
            self._cluster.scheduler.call_later(0.01, self.start)
