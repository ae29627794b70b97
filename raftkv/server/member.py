"""One member, as the services and the process see it: a door with few calls.

Owns: the calls, and refusing them once the member stops. Must never do: anything itself: a request
enters by ``propose`` or ``linearize`` and leaves by its callback.

    propose -> Proposals -> ReadyLoop -> RawNode -> Persister | Transport -> ApplyQueue -> callback
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from raftkv.apply.batch import RequestKind
from raftkv.apply.member_change import MemberStep
from raftkv.apply.membership import MemberInfo, encode_attributes
from raftkv.errors import RaftKVError, Stopped, TooManyRequests
from raftkv.lease.book import LeaseBook
from raftkv.log_fields import fields, hex_id
from raftkv.raft.config import RandomSource
from raftkv.raft.message import NO_NODE, Entry, Message, SoftState
from raftkv.scheduler import Scheduler
from raftkv.server.authority import Authority, AuthSettings
from raftkv.server.config import ServerConfig
from raftkv.server.corruption import HASH_CALLS
from raftkv.server.engine import Engine, Transport, Workers
from raftkv.server.entry_trace import EntryTrace
from raftkv.server.foundation import BOOTSTRAP_INDEX, BOOTSTRAP_TERM, Foundation
from raftkv.server.healing import HEALING_CALLS
from raftkv.server.introduction import ClusterView
from raftkv.server.leader_calls import LEADER_CALLS, REVIEW_CALLS
from raftkv.server.leadership import office
from raftkv.server.leasing import Leasing
from raftkv.server.maintenance import Maintenance
from raftkv.server.membership_desk import MembershipDesk
from raftkv.server.proposals import Done
from raftkv.server.reads import Proceed
from raftkv.server.state_check import STATE_CALLS
from raftkv.server.status import MemberStatus

log = logging.getLogger("raftkv.server")

PUBLISH_AGAIN_S = 5.0
"""While this member's data is wrong, it is refused at once."""


class Observer(Protocol):
    """Who keeps the times of a member."""

    def clock(self) -> float:
        """Seconds, finer than the scheduler's."""

    def fsync_seconds(self, seconds: float) -> None: ...

    def commit_seconds(self, seconds: float) -> None: ...

    def entry_seconds(self, seconds: float, entry: Entry) -> None: ...


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
        auth: AuthSettings | None = None,
    ) -> None:
        self.config = config
        self.cluster_id = foundation.cluster_id
        self.member_id = foundation.member_id
        self.store = foundation.store
        self.scheduler = scheduler
        self.random = random
        self._engine = Engine(
            config,
            foundation,
            scheduler=scheduler,
            workers=workers,
            transport=transport,
            random=random,
            fatal=fatal,
        )
        self.node = self._engine.node
        self.hub = self._engine.hub
        self.leader_loss = self._engine.leader_loss
        self.quarantine = self._engine.quarantine
        self.maintenance = Maintenance(self._engine, scheduler)
        self.membership = MembershipDesk(self._engine, scheduler, self.propose)
        self.published: Callable[[], None] = lambda: None
        """Called once the cluster knows this member: only then is it ready, as in etcd."""
        self._local_reads = 0
        self._heard: set[int] = set()
        self.leases = self._make_leasing(foundation.leases, transport, foundation.first_number)
        self._engine.companion = self.leases
        book = self._engine.applier.auth
        settings = auth or AuthSettings()
        self.authority = Authority(book, foundation.leases, self, workers.passwords, settings)

    def _make_leasing(self, book: LeaseBook, transport: Transport, first_number: int) -> Leasing:
        config = self.config
        return Leasing(
            book=book,
            member=self,
            office=lambda: office(self._engine),
            transport=transport,
            first_number=first_number,
            extension_s=config.election_timeout_ms / 1000,
            timeout_s=config.request_timeout_s,
            limits=config.limits,
        )

    # --- what the services call -----------------------------------------------------------

    def propose(self, kind: int, payload: bytes, done: Done) -> None:
        """Write ``payload`` through the log. ``done`` gets the reply's bytes or the error."""
        refusal = _refusal(self._engine)
        if refusal is not None:
            done(refusal)
            return
        try:
            self._engine.proposals.add(kind, payload, done, self.scheduler.now())
        except TooManyRequests as e:
            done(e)
            return
        self._engine.loop.schedule()

    def linearize(self, proceed: Proceed) -> None:
        """Call ``proceed`` once a read of the store sees all that was acknowledged before now."""
        refusal = _refusal(self._engine)
        if refusal is not None:
            proceed(refusal)
            return
        try:
            self._engine.reads.add(proceed, self.scheduler.now())
        except TooManyRequests as e:
            proceed(e)
            return
        self._engine.loop.schedule()

    def read_local(self, proceed: Proceed) -> None:
        """Call ``proceed`` as soon as this member's own state can be read, stale or not."""
        if self.quarantine.is_on:
            proceed(self.quarantine.refusal)
            return
        if not self._engine.committer.in_progress:
            proceed(None)
            return
        if self._local_reads >= self.config.limits.pending_requests_max:
            proceed(TooManyRequests(f"{self._local_reads} reads wait for a commit"))
            return
        self._local_reads += 1

        def now() -> None:
            self._local_reads -= 1
            is_healthy = not self.quarantine.is_on
            proceed(None if is_healthy else self.quarantine.refusal)

        self._engine.committer.when_open(now)

    def has_room(self, cost: int) -> bool:
        """Whether a write of ``cost`` fits under the quota. If not, the alarm is on its way."""
        return self.maintenance.has_room(cost)

    def when_compacted(self, done: Callable[[], None]) -> None:
        """Call ``done`` once every compaction asked for so far has removed its data."""
        self._engine.background.when_compacted(done)

    @property
    def leader_id(self) -> int:
        """0 while no leader is known."""
        return self._engine.leader_id

    @property
    def leader_changes(self) -> int:
        return self._engine.leader_changes

    @property
    def raft_term(self) -> int:
        return self.node.term

    @property
    def applied_index(self) -> int:
        return self._engine.queue.applied_index

    @property
    def entry_in_hand(self) -> int:
        """The index of the entry that is being applied; 0 outside of that."""
        index = self._engine.applier.entry_index
        return index if index > self.applied_index else 0

    def status(self) -> MemberStatus:
        raft = self.node.status()
        space = self.maintenance.space
        space.refresh()
        alarms = (alarm.text for alarm in self.maintenance.alarms())
        no_leader = () if raft.leader_id != NO_NODE else ("etcdserver: no leader",)
        return MemberStatus(
            leader_id=raft.leader_id,
            raft_term=raft.term,
            raft_index=raft.commit,
            applied_index=self.applied_index,
            db_size=space.size,
            db_size_in_use=space.size_in_use,
            db_size_quota=self.maintenance.quota,
            is_learner=self.is_learner,
            errors=(*no_leader, *self.quarantine.texts, *alarms),
            downgrade_version=self.maintenance.upgrade.held_version,
        )

    @property
    def disk_stall_s(self) -> float:
        """For how long the log's or the database's present write has kept the disk busy."""
        since = (self._engine.persister.writing_since, self._engine.committer.shut_since)
        now = self.scheduler.now()
        return max((now - began for began in since if began is not None), default=0.0)

    @property
    def is_committing(self) -> bool:
        """Whether a read of the store would have to wait."""
        return self._engine.committer.in_progress

    @property
    def proposals_pending(self) -> int:
        return self._engine.proposals.pending

    @property
    def proposals_failed(self) -> int:
        return self._engine.proposals.failed

    @property
    def applied_requests(self) -> Mapping[int, int]:
        """How many had an effect since the start, by RequestKind."""
        return self._engine.applier.applied

    def when_answered(self, write: Callable[[], None]) -> None:
        """Have ``write`` called at the end of each turn that may have answered something."""
        self._engine.loop.answered = write

    def observe(self, observer: Observer) -> None:
        """Have the times of disk and applying told to metrics."""
        _observe(self._engine, observer)

    def when_role_changes(self, told: Callable[[SoftState], None]) -> None:
        """Have ``told`` called at each change of leader or role: rare."""
        self._engine.loop.role_changed = told

    def trace(self, trace: EntryTrace) -> None:
        """Have it told how far each request has come."""
        _trace(self._engine, trace)

    # --- who is a member ----------------------------------------------------------------------

    def members(self) -> list[MemberInfo]:
        return self._engine.reconfiguration.members()

    @property
    def is_learner(self) -> bool:
        return self._engine.reconfiguration.is_learner

    @property
    def is_observer(self) -> bool:
        """Ready to serve, without a vote for good."""
        return self.is_learner and self.config.observer and not self.serves_as_learner

    @property
    def serves_as_learner(self) -> bool:
        return self._engine.reconfiguration.serves_as_learner

    def promote_member(self, member_id: int, done: Proceed, *, forward: bool = True) -> None:
        """Raises what etcd refuses it for. ``forward``: to the leader, if another member leads."""
        self._check_running()
        desk = self.membership
        (desk.promote if forward else desk.promote_here)(member_id, done)

    def change_members(self, steps: Sequence[MemberStep], done: Proceed) -> None:
        """Several at once, by joint consensus, without a look at the cluster's health."""
        self._check_running()
        self._engine.reconfiguration.change(steps, done)

    def introduce(self) -> ClusterView:
        """What a stranger is told: a member that starts without data."""
        has_begun = self.node.last_index > BOOTSTRAP_INDEX or self.raft_term > BOOTSTRAP_TERM
        members = tuple(self.members())
        heard, offer = frozenset(self._heard), self.maintenance.upgrade.offer()
        return ClusterView(
            self.cluster_id, has_begun, members, heard, offer, self.member_id, self.leader_id
        )

    def has_removed(self, peer: int) -> bool:
        """Whether ``peer`` was a member and is none any more: what it says is not heard."""
        return peer in self._engine.reconfiguration.removed_ids

    def told_removed(self) -> None:
        """A member says that we are none any more."""
        self._engine.reconfiguration.told_removed()

    def _check_running(self) -> None:
        if self._engine.stopped:
            raise Stopped("the member is stopping")

    # --- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick and to talk. The loop's thread only."""
        self._engine.start()
        self.maintenance.start()
        self.membership.start()
        self._publish()

    def receive(self, messages: Sequence[Message]) -> None:
        """Messages of one read from one peer, in order."""
        if not self._engine.stopped:
            for message in messages:
                self._heard.add(message.sender)
                _deliver(self, message)
            self._engine.loop.schedule()

    def unreachable(self, peer: int) -> None:
        self.node.report_unreachable(peer)

    def abandon(self) -> None:
        """Stop turning at once and answer nobody, as a killed process would."""
        self._engine.abandon()

    def stop(self, then: Callable[[], None]) -> None:
        """Answer what waits with "stopped", commit the backend, close the files, call ``then``."""
        self._engine.stop(then)

    def _publish(self) -> None:
        """Tell the cluster our name and client URLs, until it has heard (as etcd does)."""
        config = self.config
        payload = encode_attributes(self.member_id, config.name, config.advertise_client_urls)

        def told(outcome: bytes | RaftKVError) -> None:
            if isinstance(outcome, RaftKVError) and not self._engine.stopped:
                log.warning(
                    "cannot publish this member's URLs yet", extra=fields(error=str(outcome))
                )
                wait_s = PUBLISH_AGAIN_S if self.quarantine.is_on else 0.0
                self.scheduler.call_later(wait_s, self._publish)
            elif not isinstance(outcome, RaftKVError):
                _log_published(self)
                self.published()

        self.propose(RequestKind.MEMBER_ATTRIBUTES, payload, told)


def _refusal(engine: Engine) -> RaftKVError | None:
    """Why no request is taken; None if they are."""
    if engine.stopped:
        return Stopped("the member is stopping")
    return engine.quarantine.refusal if engine.quarantine.is_on else None


def _deliver(member: Member, message: Message) -> None:
    """To whom it is for: Raft gets what nobody around it takes."""
    if message.type in LEADER_CALLS:
        member.leases.calls.receive(message)
    elif message.type in HEALING_CALLS:
        member.maintenance.healing.receive(message)
    elif message.type in STATE_CALLS:
        member.maintenance.state_check.receive(message)
    elif message.type in REVIEW_CALLS:
        member.membership.calls.receive(message)
    elif message.type in HASH_CALLS:
        member.maintenance.corruption.receive(message)
    else:
        member.node.step(message)


def _log_published(member: Member) -> None:
    log.info(
        "published local member to cluster through raft",
        extra=fields(
            local_member_id=hex_id(member.member_id),
            local_member_name=member.config.name,
            client_urls=list(member.config.advertise_client_urls),
            cluster_id=hex_id(member.cluster_id),
        ),
    )


def _observe(engine: Engine, observer: Observer) -> None:
    engine.persister.fsync_seconds = observer.fsync_seconds
    engine.committer.commit_seconds = observer.commit_seconds
    engine.queue.entry_seconds = observer.entry_seconds
    engine.queue.clock = observer.clock


def _trace(engine: Engine, trace: EntryTrace) -> None:
    engine.proposals.trace = engine.reads.trace = trace
    engine.persister.trace = engine.queue.trace = trace
