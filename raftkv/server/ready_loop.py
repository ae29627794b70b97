"""The turn of a member: what came in -> Raft -> disk and peers -> committed entries.

Owns: the order of effects in one turn, which is where persist-before-send lives (Raft paper,
figure 2: "persistent state is updated on stable storage before responding to RPCs"; thesis 10.2.1:
a leader may write to its own disk while its followers do).
Must never do: wait. What takes time (disk, commit) goes to a worker and comes back as a new turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from raftkv.raft.errors import ProposalDropped
from raftkv.raft.message import NO_NODE, Entry, Message, Ready, Role, SoftState
from raftkv.raft.raw_node import RawNode
from raftkv.scheduler import Scheduler
from raftkv.server.apply_queue import ApplyQueue
from raftkv.server.committer import Committer
from raftkv.server.persister import Persister
from raftkv.server.proposals import FORWARDED_BATCHES_MAX, Proposals
from raftkv.server.reads import Reads

COMMIT_NEWS_DELAY_S = 0.001
"""How long followers may wait to hear of a commit that no further entry carries to them."""


class Transport(Protocol):
    """Where messages leave. What cannot leave is dropped and reported, never queued for ever."""

    def send(self, messages: Sequence[Message]) -> None: ...


class Snapshots(Protocol):
    """What the loop asks of the keeper of snapshots."""

    def send(self, message: Message) -> None: ...

    def install(self, ready: Ready, then: Callable[[], None]) -> None: ...


class ReadyLoop:
    """``schedule`` asks for a turn; any number of calls before it make one turn."""

    def __init__(
        self,
        *,
        node: RawNode,
        scheduler: Scheduler,
        transport: Transport,
        persister: Persister,
        snapshots: Snapshots,
        queue: ApplyQueue,
        committer: Committer,
        proposals: Proposals,
        reads: Reads,
        on_soft_state: Callable[[SoftState], None],
        on_committed: Callable[[Sequence[Entry]], None],
        on_turn: Callable[[], None],
    ) -> None:
        self._node = node
        self._scheduler = scheduler
        self._transport = transport
        self._persister = persister
        self._snapshots = snapshots
        self._queue = queue
        self._committer = committer
        self._proposals = proposals
        self._reads = reads
        self._on_soft_state = on_soft_state
        self._on_committed = on_committed
        self._on_turn = on_turn
        self._scheduled = False
        self._telling = False
        self._stopped = False
        self.soft_state = SoftState()
        self.role_changed: Callable[[SoftState], None] = lambda soft: None
        """Told of each change of leader and role, after the engine."""
        self.answered: Callable[[], None] = lambda: None
        """Called once a turn when its answers are made: they leave before anything else is done."""

    def schedule(self) -> None:
        if not self._scheduled and not self._stopped:
            self._scheduled = True
            self._scheduler.call_soon(self._turn)

    def stop(self) -> None:
        self._stopped = True

    def _turn(self) -> None:
        self._scheduled = False
        if self._stopped:
            return
        self._propose()
        self._ask_reads()
        while self._node.has_ready():
            self._handle(self._node.ready())
        self._apply()
        self.answered()
        self._tell_commit_soon()
        self._committer.maybe_commit()
        self._on_turn()

    # --- in -----------------------------------------------------------------------------

    def _propose(self) -> None:
        """One entry for all that waits. It gathers while the last one is on its way to disk."""
        if self.soft_state.leader_id == NO_NODE or not self._proposals.queued:
            return
        if self.soft_state.role is Role.LEADER:
            if self._persister.in_progress:
                return
        elif self._proposals.batches_in_flight >= FORWARDED_BATCHES_MAX:
            return
        batch = self._proposals.peek()
        assert batch is not None, "queued, yet no batch"
        _, data, count = batch
        try:
            self._node.propose(data)
        except ProposalDropped:
            return  # asked again on the next turn; the deadline bounds it
        self._proposals.take(count, self._scheduler.now())

    def _ask_reads(self) -> None:
        if self._reads.wants_round and self.soft_state.leader_id != NO_NODE:
            self._node.read_index(self._reads.begin_round(self._scheduler.now()))

    def _tell_commit_soon(self) -> None:
        """Under load the next entry tells the followers; without it, a message of its own does.
        That message and its answers cost as much as those of an entry."""
        if self._node.has_commit_news and not self._telling:
            self._telling = True
            self._scheduler.call_later(COMMIT_NEWS_DELAY_S, self._tell_commit)

    def _tell_commit(self) -> None:
        self._telling = False
        self._node.tell_commit()
        self.schedule()

    # --- out ----------------------------------------------------------------------------

    def _handle(self, ready: Ready) -> None:
        if ready.soft_state is not None:
            self.soft_state = ready.soft_state
            self._on_soft_state(ready.soft_state)
            self.role_changed(ready.soft_state)
        self._send(ready.messages)
        if ready.needs_persist:
            self._persister.save(ready, lambda: self._persisted(ready))
        elif ready.messages_after_persist:
            self._persisted(ready)
        if ready.committed_entries:
            self._on_committed(ready.committed_entries)
            self._queue.add(ready.committed_entries)
        for state in ready.read_states:
            self._reads.confirm(state)

    def _persisted(self, ready: Ready) -> None:
        """``ready`` is durable: now its promises may leave."""
        if ready.snapshot is not None:
            self._snapshots.install(ready, lambda: self._promise(ready))
        else:
            self._promise(ready)

    def _promise(self, ready: Ready) -> None:
        self._send(ready.messages_after_persist)
        self._node.advance()
        self.schedule()

    def _send(self, messages: Sequence[Message]) -> None:
        plain = [message for message in messages if message.snapshot is None]
        if plain:
            self._transport.send(plain)
        if len(plain) != len(messages):
            for message in messages:
                if message.snapshot is not None:
                    self._snapshots.send(message)

    def _apply(self) -> None:
        if self._queue.step():
            self._node.advance_applied(self._queue.applied_index)
            if self._queue.backlog or self._proposals.queued:
                self.schedule()
        if self._queue.is_open:
            self._reads.release(self._queue.applied_index)
            if self._reads.wants_round and self.soft_state.leader_id != NO_NODE:
                self.schedule()
