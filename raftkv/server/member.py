"""One member: the parts of a server, wired, behind the few calls that the services need.

Owns: who is connected to whom, the tick, and stopping. Must never do: consensus, storage or wire
work of its own: a request enters by ``propose`` or ``linearize`` and leaves by its callback.

    propose -> Proposals -> ReadyLoop -> RawNode -> Persister | Transport -> ApplyQueue -> callback
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from raftkv.apply.applier import Applier
from raftkv.apply.batch import RequestKind
from raftkv.apply.membership import MemberInfo, encode_attributes, read_members
from raftkv.errors import RaftKVError, Stopped, TooManyRequests
from raftkv.mvcc.watch_hub import WatchHub
from raftkv.raft.confchange import decode_conf_change
from raftkv.raft.config import Config, RandomSource
from raftkv.raft.message import NO_NODE, Entry, Message, Ready, Role, SoftState
from raftkv.raft.raw_node import RawNode
from raftkv.scheduler import Scheduler, Timer, Worker
from raftkv.server.applied_state import AppliedState
from raftkv.server.apply_queue import ApplyQueue
from raftkv.server.background import Background
from raftkv.server.committer import Committer
from raftkv.server.config import ServerConfig
from raftkv.server.foundation import Foundation
from raftkv.server.log_compactor import LogCompactor
from raftkv.server.persister import Persister
from raftkv.server.proposals import Done, Proposals
from raftkv.server.reads import Proceed, Reads
from raftkv.server.ready_loop import ReadyLoop
from raftkv.server.snapshots import SnapshotKeeper, SnapshotSender
from raftkv.server.status import MemberStatus

log = logging.getLogger("raftkv.server")

SEQUENCES_PER_LIFE = 1 << 32
"""Every start of a member numbers its batches and read rounds from its own range, above all that
it can have used before: a late message of an old life is never taken for one of the new."""


class Transport(SnapshotSender, Protocol):
    """The network, as a member sees it. ``raftkv.peer.transport`` is the real one."""

    def send(self, messages: Sequence[Message]) -> None: ...

    def set_peers(self, urls_of: Mapping[int, Sequence[str]]) -> None: ...


class Workers(Protocol):
    """The threads of a member: one per kind of blocking work, so that none waits for another."""

    @property
    def wal(self) -> Worker: ...

    @property
    def backend(self) -> Worker: ...

    @property
    def snapshot(self) -> Worker: ...


class Member:
    """``fatal`` is called once with what makes it impossible to go on, a full disk say."""

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
        self.cluster_id = foundation.cluster_id
        self.member_id = foundation.member_id
        self.store = foundation.store
        self.leader_changes = 0
        self._scheduler = scheduler
        self._workers = workers
        self._transport = transport
        self._foundation = foundation
        self._fatal_of_owner = fatal
        self._conf_state = foundation.applied.conf_state
        self._leader_lost_at = float("-inf")
        self._leader_id = NO_NODE
        self._timer: Timer | None = None
        self._stopped = False
        self._local_reads = 0
        self._wire_up(foundation, random)

    # --- what the services call -----------------------------------------------------------

    def propose(self, kind: int, payload: bytes, done: Done) -> None:
        """Write ``payload`` through the log. ``done`` gets the reply's bytes or the error."""
        if self._stopped:
            done(Stopped("the member is stopping"))
            return
        try:
            self._proposals.add(kind, payload, done, self._scheduler.now())
        except TooManyRequests as e:
            done(e)
            return
        self._loop.schedule()

    def linearize(self, proceed: Proceed) -> None:
        """Call ``proceed`` once a read of the store sees all that was acknowledged before now."""
        if self._stopped:
            proceed(Stopped("the member is stopping"))
            return
        try:
            self._reads.add(proceed, self._scheduler.now())
        except TooManyRequests as e:
            proceed(e)
            return
        self._loop.schedule()

    def read_local(self, proceed: Proceed) -> None:
        """Call ``proceed`` as soon as this member's own state can be read, stale or not."""
        if not self._committer.in_progress:
            proceed(None)
            return
        if self._local_reads >= self.config.limits.pending_requests_max:
            proceed(TooManyRequests(f"{self._local_reads} reads wait for a commit"))
            return
        self._local_reads += 1

        def now() -> None:
            self._local_reads -= 1
            proceed(None)

        self._committer.when_open(now)

    def when_compacted(self, done: Callable[[], None]) -> None:
        """Call ``done`` once every compaction asked for so far has removed its data."""
        self._background.when_compacted(done)

    @property
    def leader_id(self) -> int:
        """0 while no leader is known."""
        return self._leader_id

    @property
    def raft_term(self) -> int:
        return self.node.term

    def status(self) -> MemberStatus:
        raft = self.node.status()
        backend = self._foundation.backend
        return MemberStatus(
            leader_id=raft.leader_id,
            raft_term=raft.term,
            raft_index=raft.commit,
            applied_index=self._queue.applied_index,
            db_size=backend.size,
            db_size_in_use=backend.size_in_use,
            is_learner=self.member_id in self._conf_state.learners,
            errors=() if raft.leader_id != NO_NODE else ("etcdserver: no leader",),
        )

    def members(self) -> list[MemberInfo]:
        return read_members(self._foundation.backend)

    # --- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick and to talk. The loop's thread only."""
        self._transport.set_peers(self._peer_urls())
        self._tick()
        self._loop.schedule()
        if self.store.compacting:
            self._background.schedule()
        self._publish()

    def receive(self, messages: Sequence[Message]) -> None:
        """Messages of one read from one peer, in order."""
        if not self._stopped:
            for message in messages:
                self.node.step(message)
            self._loop.schedule()

    def unreachable(self, peer: int) -> None:
        self.node.report_unreachable(peer)

    def abandon(self) -> None:
        """Stop turning at once and answer nobody, as a killed process would."""
        self._stopped = True
        self._loop.stop()
        self._background.stop()
        if self._timer is not None:
            self._timer.cancel()

    def stop(self, then: Callable[[], None]) -> None:
        """Answer what waits with "stopped", commit the backend, close the files, call ``then``."""
        self._stop_turning(Stopped("the member is stopping"))

        def close() -> None:
            self._workers.backend.run(self._foundation.close, lambda error: then())

        def commit() -> None:
            if self._foundation.backend.dirty_bytes:
                self._save_applied()
                self._committer.exclusive(self._foundation.backend.commit, lambda: None)
            self._committer.when_open(close)

        # The WAL's worker may still hold a write: what comes after it in the queue, comes after.
        self._workers.wal.run(lambda: None, lambda error: self._committer.when_open(commit))

    # --- wiring -----------------------------------------------------------------------------

    def _wire_up(self, foundation: Foundation, random: RandomSource) -> None:
        config, limits, applied = self.config, self.config.limits, foundation.applied
        timeout_s = config.request_timeout_s
        first = foundation.lives * SEQUENCES_PER_LIFE
        self.hub = WatchHub(foundation.store)
        self._applier = Applier(
            foundation.store,
            foundation.backend,
            cluster_id=self.cluster_id,
            member_id=self.member_id,
            sequences=dict(applied.sequences),
        )
        self._proposals = Proposals(
            origin=self.member_id, first_sequence=first, limits=limits, timeout_s=timeout_s
        )
        self._reads = Reads(
            origin=self.member_id,
            first_round=first,
            reads_max=limits.pending_requests_max,
            timeout_s=timeout_s,
        )
        self._queue = ApplyQueue(
            applier=self._applier,
            proposals=self._proposals,
            applied_index=applied.index,
            applied_term=applied.term,
            on_conf_change=self._apply_conf_change,
        )
        self._committer = Committer(
            backend=foundation.backend,
            worker=self._workers.backend,
            scheduler=self._scheduler,
            queue=self._queue,
            limits=limits,
            save_applied=self._save_applied,
            reopened=self._reopened,
            fatal=self._fatal,
            committed=applied,
        )
        self._background = Background(
            store=foundation.store,
            hub=self.hub,
            committer=self._committer,
            scheduler=self._scheduler,
            limits=limits,
        )
        self.hub.on_work = self._background.schedule
        self._log_compactor = LogCompactor(
            snapshot_count=config.snapshot_count,
            limits=limits,
            marker_index=foundation.snapshot.index,
        )
        self._snapshots = SnapshotKeeper(
            store=foundation,
            worker=self._workers.snapshot,
            committer=self._committer,
            sender=self._transport,
            first_index=lambda: self.node.first_index,
            report=self._report_snapshot,
            installed=self._snapshot_installed,
        )
        self.node = RawNode(
            self._raft_config(),
            hard_state=foundation.hard_state,
            snapshot=foundation.snapshot,
            entries=foundation.entries,
            applied=applied.index,
            random=random,
            snapshot_source=self._snapshots.source,
            conf_state=applied.conf_state,
        )
        self._persister = Persister(
            wal=foundation.wal,
            worker=self._workers.wal,
            scheduler=self._scheduler,
            fatal=self._fatal,
        )
        self._loop = ReadyLoop(
            node=self.node,
            scheduler=self._scheduler,
            transport=self._transport,
            persister=self._persister,
            snapshots=self._snapshots,
            queue=self._queue,
            committer=self._committer,
            proposals=self._proposals,
            reads=self._reads,
            on_soft_state=self._on_soft_state,
            on_committed=self._log_compactor.note,
            on_turn=self._after_turn,
        )

    def _raft_config(self) -> Config:
        config, limits = self.config, self.config.limits
        return Config(
            id=self.member_id,
            election_timeout_ticks=config.election_timeout_ms // config.heartbeat_interval_ms,
            heartbeat_timeout_ticks=1,
            inflight_messages_max=limits.inflight_messages_max,
            message_bytes_max=limits.message_bytes_max,
            committed_bytes_max=limits.committed_bytes_max,
            uncommitted_bytes_max=limits.uncommitted_bytes_max,
            pre_vote=config.pre_vote,
        )

    # --- what happens -------------------------------------------------------------------------

    def _tick(self) -> None:
        self._timer = self._scheduler.call_later(
            self.config.heartbeat_interval_ms / 1000, self._tick
        )
        now = self._scheduler.now()
        self.node.tick()
        self._proposals.expire(now, self._leader_lost_at)
        self._reads.retry(now)
        self._reads.expire(now)
        self._loop.schedule()

    def _publish(self) -> None:
        """Tell the cluster our name and client URLs, until it has heard (as etcd does)."""
        config = self.config
        payload = encode_attributes(self.member_id, config.name, config.advertise_client_urls)

        def told(outcome: bytes | RaftKVError) -> None:
            if isinstance(outcome, RaftKVError) and not self._stopped:
                log.warning("cannot publish this member's URLs yet: %s", outcome)
                self._publish()

        self.propose(RequestKind.MEMBER_ATTRIBUTES, payload, told)

    def _on_soft_state(self, soft: SoftState) -> None:
        if soft.leader_id == self._leader_id:
            return
        if self._leader_id != NO_NODE:
            self._leader_lost_at = self._scheduler.now()
        if soft.leader_id != NO_NODE:
            self.leader_changes += 1
            what = "this member" if soft.role is Role.LEADER else f"{soft.leader_id:x}"
            log.info("leader is %s at term %d", what, self.node.status().term)
        else:
            log.warning("no leader: lost %x", self._leader_id)
        self._leader_id = soft.leader_id

    def _after_turn(self) -> None:
        if self._queue.is_open and self._log_compactor.is_due(self._committer.committed.index):
            self._cut_log(self._committer.committed)
        elif self._log_compactor.is_due(self._queue.applied_index):
            self._committer.demand()

    def _cut_log(self, state: AppliedState) -> None:
        """Everything up to ``state`` is durable in the backend: the log need not keep it all."""
        marker = state.meta
        cut = max(self._log_compactor.cut_index(marker.index), self.node.first_index - 1)
        self._log_compactor.cut(cut, marker.index)
        self.node.compact(cut)
        self._persister.mark(marker)
        self._snapshots.purge()
        log.info("log is durable in the database up to %d, kept from %d", marker.index, cut + 1)

    def _save_applied(self) -> AppliedState:
        state = AppliedState(
            self._queue.applied_index,
            self._queue.applied_term,
            self._conf_state,
            dict(self._applier.sequences),
        )
        self.store.flush_meta()
        self._foundation.save_applied(state)
        return state

    def _reopened(self) -> None:
        self._loop.schedule()
        self._background.schedule()

    def _apply_conf_change(self, entry: Entry) -> None:
        self._conf_state = self.node.apply_conf_change(decode_conf_change(entry.data))

    def _report_snapshot(self, peer: int, ok: bool) -> None:
        self.node.report_snapshot(peer, ok=ok)
        self._loop.schedule()

    def _snapshot_installed(self, ready: Ready) -> None:
        """The database is the snapshot's now: everything that remembered the old one learns."""
        applied = self._foundation.read_applied()
        self._queue.reset(applied.index, applied.term)
        self._conf_state = applied.conf_state
        self._applier.sequences = dict(applied.sequences)
        self._committer.committed = applied
        self._log_compactor.cut(applied.index, applied.index)
        self.store.reload()
        self.hub.restored()
        self._transport.set_peers(self._peer_urls())

    def _peer_urls(self) -> dict[int, tuple[str, ...]]:
        return {m.id: m.peer_urls for m in self.members() if m.id != self.member_id}

    def _stop_turning(self, error: Stopped) -> None:
        self.abandon()
        self._proposals.fail_all(error)
        self._reads.fail_all(error)

    def _fatal(self, error: BaseException) -> None:
        """Nothing can be acknowledged any more: stop at once and let the owner end the process."""
        log.critical("this member cannot go on: %s", error)
        self._stop_turning(Stopped("the member failed"))
        self._fatal_of_owner(error)
