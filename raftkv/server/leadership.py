"""MoveLeader: handing leadership over, with etcd's checks.

Owns: who may be handed it, the wait until it has happened, and in which term a member may decide
as a leader. Must never do: the handing over,
which is Raft's (thesis, 3.10).
"""

from __future__ import annotations

from collections.abc import Callable

from raftkv.errors import (
    BadLeaderTransferee,
    LeaderTransferTimeout,
    NotLeader,
    RaftKVError,
    Stopped,
)
from raftkv.lease.lessor import OUT_OF_OFFICE
from raftkv.scheduler import Scheduler
from raftkv.server.engine import Engine

Moved = Callable[[RaftKVError | None], None]


def office(engine: Engine) -> int:
    """The term that this member leads, OUT_OF_OFFICE for none: an entry of that term stands behind
    all that earlier leaders acknowledged."""
    leads = engine.node.is_leader and engine.queue.applied_term == engine.node.term
    return engine.node.term if leads else OUT_OF_OFFICE


class LeaderMove:
    """One move. It looks once per heartbeat interval, as etcd does."""

    def __init__(self, engine: Engine, scheduler: Scheduler, target: int, done: Moved) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._target = target
        self._done = done
        self._deadline = scheduler.now() + engine.config.request_timeout_s

    def start(self) -> None:
        """Raises NotLeader and BadLeaderTransferee."""
        engine = self._engine
        if not engine.node.is_leader:
            raise NotLeader("ask the leader to give up its place")
        if self._target not in engine.reconfiguration.conf_state.voters:
            raise BadLeaderTransferee(f"{self._target:x} is no voting member")
        engine.node.transfer_leader(self._target)
        engine.loop.schedule()
        self._look()

    def _look(self) -> None:
        engine = self._engine
        if engine.node.status().leader_id == self._target:
            self._done(None)
        elif engine.stopped:
            self._done(Stopped("the member is stopping"))
        elif self._scheduler.now() >= self._deadline:
            self._done(LeaderTransferTimeout(f"{self._target:x} has not taken over"))
        else:
            wait_s = engine.config.heartbeat_interval_ms / 1000
            self._scheduler.call_later(wait_s, self._look)
