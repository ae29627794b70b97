"""The parts of a member, made and connected, and what happens to them.

Owns: who calls whom, the tick, and the events that concern several parts: a new leader, a due cut
of the log, an installed snapshot, a failure. Must never do: consensus, storage or wire work of its
own. ``member`` is the door in front of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from raftkv.apply.applier import Applier
from raftkv.errors import MemberRemoved, RaftKVError, Stopped
from raftkv.log_fields import fields, hex_id
from raftkv.mvcc.watch_hub import WatchHub
from raftkv.raft.config import Config, RandomSource
from raftkv.raft.message import NO_NODE, ConfState, Message, Role, SoftState
from raftkv.raft.raw_node import RawNode
from raftkv.scheduler import Scheduler, Timer, Worker
from raftkv.server.applied_state import AppliedState
from raftkv.server.apply_queue import ApplyQueue
from raftkv.server.background import Background
from raftkv.server.committer import Committer
from raftkv.server.config import ServerConfig
from raftkv.server.disk_watch import DiskWatch
from raftkv.server.foundation import Foundation
from raftkv.server.hashing import Hashing
from raftkv.server.leader_loss import LeaderLoss
from raftkv.server.log_compactor import LogCompactor
from raftkv.server.persister import Persister
from raftkv.server.proposals import Proposals
from raftkv.server.quarantine import Quarantine
from raftkv.server.reads import Reads
from raftkv.server.ready_loop import ReadyLoop
from raftkv.server.reconfiguration import PeerLinks, Reconfiguration
from raftkv.server.snapshots import SnapshotKeeper, SnapshotSender
from raftkv.server.upgrade import OfferLinks

log = logging.getLogger("raftkv.server")

REMOVED = (
    "the member has been permanently removed from the cluster; "
    "the data-dir used by this member must be removed"
)


class Transport(SnapshotSender, PeerLinks, OfferLinks, Protocol):
    """The network, as a member sees it. ``raftkv.peer.transport`` is the real one."""

    def send(self, messages: Sequence[Message]) -> None: ...


class Workers(Protocol):
    """The threads of a member: one per kind of blocking work, so that none waits for another."""

    @property
    def wal(self) -> Worker: ...

    @property
    def backend(self) -> Worker: ...

    @property
    def snapshot(self) -> Worker: ...

    @property
    def passwords(self) -> Sequence[Worker]:
        """As many as passwords may be hashed at once."""


class Companion(Protocol):
    """What lives beside the engine and by its time."""

    def turned(self) -> None:
        """A turn is over: entries may have been applied, the leader may be another."""

    def ticked(self, now: float) -> None: ...

    def stopped(self, error: RaftKVError) -> None:
        """Answer whatever waits."""


class Engine:
    """``fatal`` is called once with what makes it impossible to go on, a full disk say.
    ``companion`` is set by whoever makes both."""

    def __init__(
        self,
        config: ServerConfig,
        foundation: Foundation,
        *,
        scheduler: Scheduler,
        workers: Workers,
        transport: Transport,
        random: RandomSource,
        fatal: Callable[[BaseException], None],
    ) -> None:
        self.config = config
        self.foundation = foundation
        self.scheduler = scheduler
        self.workers = workers
        self.transport = transport
        self.leader_id = NO_NODE
        self.leader_changes = 0
        self.stopped = False
        self.companion: Companion | None = None
        self.quarantine = Quarantine()
        self.leader_loss = LeaderLoss(config.election_timeout_ticks)
        self._fatal_of_owner = fatal
        self._leader_lost_at = float("-inf")
        self._timer: Timer | None = None
        self._make_waiting_rooms()
        self._make_storage()
        self._make_consensus(random)
        self._disk_watch = DiskWatch(self.node, self.persister, config)

    # --- making -----------------------------------------------------------------------------

    def _make_waiting_rooms(self) -> None:
        """Where requests wait: for their entry, and for their read round."""
        limits, me = self.config.limits, self.foundation.member_id
        first = self.foundation.first_number
        timeout_s = self.config.request_timeout_s
        self.proposals = Proposals(
            origin=me, first_sequence=first, limits=limits, timeout_s=timeout_s
        )
        self.reads = Reads(
            origin=me,
            first_round=first,
            reads_max=limits.pending_requests_max,
            timeout_s=timeout_s,
        )

    def _make_storage(self) -> None:
        """From committed entries down to the database, and to the watchers."""
        foundation, limits, applied = self.foundation, self.config.limits, self.foundation.applied
        self.hub = WatchHub(foundation.store)
        self.applier = Applier(
            foundation.store,
            foundation.backend,
            foundation.leases,
            cluster_id=foundation.cluster_id,
            member_id=foundation.member_id,
            sequences=applied.sequences,
            applied_index=applied.index,
        )
        self.queue = ApplyQueue(
            applier=self.applier,
            proposals=self.proposals,
            hub=self.hub,
            applied_index=applied.index,
            applied_term=applied.term,
            on_conf_change=lambda entry: self.reconfiguration.apply(entry),
        )
        self.committer = Committer(
            backend=foundation.backend,
            worker=self.workers.backend,
            scheduler=self.scheduler,
            queue=self.queue,
            limits=limits,
            save_applied=self.save_applied,
            reopened=self._reopened,
            fatal=self.fail,
            committed=applied,
        )
        self.background = Background(
            store=foundation.store,
            hub=self.hub,
            hashing=Hashing(foundation.store, foundation.backend),
            committer=self.committer,
            scheduler=self.scheduler,
            limits=limits,
        )
        self.hub.on_work = self.background.schedule

    def _make_consensus(self, random: RandomSource) -> None:
        """From messages and proposals up to committed entries."""
        foundation, applied = self.foundation, self.foundation.applied
        self.log_compactor = LogCompactor(
            snapshot_count=self.config.snapshot_count,
            limits=self.config.limits,
            marker_index=foundation.snapshot.index,
        )
        self.snapshots = SnapshotKeeper(
            store=foundation,
            worker=self.workers.snapshot,
            committer=self.committer,
            sender=self.transport,
            first_index=lambda: self.node.first_index,
            conf_state=lambda: self.reconfiguration.conf_state,
            report=self._report_snapshot,
            installed=self._snapshot_installed,
        )
        self.node = RawNode(
            _raft_config(self.config, foundation.member_id),
            hard_state=foundation.hard_state,
            snapshot=foundation.snapshot,
            entries=foundation.entries,
            applied=applied.index,
            random=random,
            snapshot_source=self.snapshots.source,
            conf_state=applied.conf_state,
        )
        self.reconfiguration = Reconfiguration(
            config=self.config,
            member_id=foundation.member_id,
            first_number=foundation.first_number,
            backend=foundation.backend,
            node=self.node,
            scheduler=self.scheduler,
            links=self.transport,
            conf_state=applied.conf_state,
            removed=self.leave,
        )
        self.applier.members_changed = self.reconfiguration.rows_changed
        self.persister = Persister(
            wal=foundation.wal,
            worker=self.workers.wal,
            scheduler=self.scheduler,
            fatal=self.fail,
        )
        self.loop = ReadyLoop(
            node=self.node,
            scheduler=self.scheduler,
            transport=self.transport,
            persister=self.persister,
            snapshots=self.snapshots,
            queue=self.queue,
            committer=self.committer,
            proposals=self.proposals,
            reads=self.reads,
            on_soft_state=self._on_soft_state,
            on_committed=self.log_compactor.note,
            on_turn=self._after_turn,
        )

    # --- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick and to talk. The loop's thread only."""
        self.reconfiguration.start()
        self._tick()
        self.loop.schedule()
        if self.foundation.store.compacting:
            self.background.schedule()

    def abandon(self) -> None:
        """Stop turning at once and answer nobody, as a killed process would."""
        self.stopped = True
        self.loop.stop()
        self.background.stop()
        if self._timer is not None:
            self._timer.cancel()

    def stop_turning(self, error: RaftKVError) -> None:
        """Stop, and answer everything that waits with ``error``."""
        self.abandon()
        self.proposals.fail_all(error)
        self.reads.fail_all(error)
        if self.companion is not None:
            self.companion.stopped(error)
        self.reconfiguration.fail_all(error)

    def stop(self, then: Callable[[], None]) -> None:
        """Answer what waits with "stopped", commit the backend, close the files, call ``then``."""
        self.stop_turning(Stopped("the member is stopping"))

        def closed(error: BaseException | None) -> None:
            if error is not None:  # all that was acknowledged was durable before
                log.error("cannot close the files in order", extra=fields(error=str(error)))
            then()

        def close() -> None:
            self.workers.backend.run(self.foundation.close, closed)

        def commit() -> None:
            if self.foundation.backend.dirty_bytes and not self.quarantine.is_on:
                self.save_applied()
                self.committer.exclusive(self.foundation.backend.commit, lambda: None)
            self.committer.when_open(close)

        # The WAL's worker may still hold a write: what comes after it in the queue, comes after.
        self.workers.wal.run(lambda: None, lambda error: self.committer.when_open(commit))

    def save_applied(self) -> AppliedState:
        """Write how far the store has come into the transaction that is about to be committed."""
        state = AppliedState(
            self.queue.applied_index,
            self.queue.applied_term,
            self.reconfiguration.conf_state,
            dict(self.applier.sequences),
        )
        self.foundation.store.flush_meta()
        self.applier.digest.flush(state.index)
        self.foundation.save_applied(state)
        return state

    # --- what happens -------------------------------------------------------------------------

    def _tick(self) -> None:
        self._timer = self.scheduler.call_later(
            self.config.heartbeat_interval_ms / 1000, self._tick
        )
        now = self.scheduler.now()
        self.node.tick()
        self.leader_loss.tick(self.leader_id)
        self.proposals.expire(now, self._leader_lost_at)
        self.reads.retry(now)
        self.reads.expire(now)
        self.reconfiguration.tick(now)
        self.persister.seal_when_idle()
        self._disk_watch.tick(now)
        if self.companion is not None:
            self.companion.ticked(now)
        self.loop.schedule()

    def _on_soft_state(self, soft: SoftState) -> None:
        if soft.leader_id == self.leader_id:
            return
        if self.leader_id != NO_NODE:
            self._leader_lost_at = self.scheduler.now()
        if soft.leader_id != NO_NODE:
            self.leader_changes += 1
            told = {"leader_id": hex_id(soft.leader_id), "term": self.node.term}
            log.info("elected leader", extra=fields(**told, is_local=soft.role is Role.LEADER))
        else:
            log.warning("lost leader", extra=fields(leader_id=hex_id(self.leader_id)))
        self.leader_id = soft.leader_id

    def _after_turn(self) -> None:
        if self.companion is not None:
            self.companion.turned()
        if self.node.first_index > self.committer.committed.index + 1:
            return  # a leader's snapshot is on its way into the database, and replaces the log
        if self.queue.is_open and self.log_compactor.is_due(self.committer.committed.index):
            self._cut_log(self.committer.committed)
        elif self.log_compactor.is_due(self.queue.applied_index):
            self.committer.demand()

    def _cut_log(self, state: AppliedState) -> None:
        """Everything up to ``state`` is durable in the backend: the log need not keep it all."""
        marker = state.meta
        cut = max(self.log_compactor.cut_index(marker.index), self.node.first_index - 1)
        self.log_compactor.cut(cut, marker.index)
        self.node.compact(cut)
        self.persister.mark(marker)
        self.snapshots.purge()
        log.info("compacted the raft log", extra=fields(durable=marker.index, first_kept=cut + 1))

    def _reopened(self) -> None:
        self.loop.schedule()
        self.background.schedule()

    def _report_snapshot(self, peer: int, ok: bool) -> None:
        self.node.report_snapshot(peer, ok=ok)
        self.loop.schedule()

    def _snapshot_installed(self) -> ConfState:
        """The database is the snapshot's now: everything that remembered the old one learns."""
        applied = self.foundation.read_applied()
        self.queue.reset(applied.index, applied.term)
        self.applier.reload(applied.sequences, applied.index)
        self.proposals.overtaken(applied.sequences)
        self.committer.committed = applied
        self.log_compactor.cut(applied.index, applied.index)
        self.foundation.store.reload()
        self.foundation.leases.reload()
        self.hub.restored()
        self.reconfiguration.restored(applied.conf_state)
        return applied.conf_state

    def leave(self) -> None:
        """Removed, by our own log or by a peer's word: the owner ends this member in order."""
        if not self.stopped:
            log.critical(REMOVED, extra=fields(data_dir=self.config.data_dir))
            self._fatal_of_owner(MemberRemoved("the member was removed from the cluster"))

    def fail(self, error: BaseException) -> None:
        """Nothing can be acknowledged any more: stop at once and let the owner end the process."""
        log.critical("this member cannot go on", extra=fields(error=str(error)))
        self.stop_turning(Stopped("the member failed"))
        self._fatal_of_owner(error)


def _raft_config(config: ServerConfig, member_id: int) -> Config:
    limits = config.limits
    return Config(
        id=member_id,
        election_timeout_ticks=config.election_timeout_ticks,
        heartbeat_timeout_ticks=1,
        inflight_messages_max=limits.inflight_messages_max,
        message_bytes_max=limits.message_bytes_max,
        committed_bytes_max=limits.committed_bytes_max,
        uncommitted_bytes_max=limits.uncommitted_bytes_max,
        pre_vote=config.pre_vote,
    )
