"""A member's own upkeep: its size, the alarms, and what an operator asks of it.

Owns: the look at the size after which NOSPACE is asked for. Must never do: refuse a write by
itself, or raise an alarm otherwise than through the log.
"""

from __future__ import annotations

import logging

from raftkv.api.rpc_pb2 import AlarmRequest, AlarmType
from raftkv.apply.alarm_book import Alarm, AlarmKind
from raftkv.apply.batch import RequestKind
from raftkv.apply.behalf import encode_as_member
from raftkv.errors import RaftKVError
from raftkv.log_fields import fields, hex_id
from raftkv.mvcc.hash import HashResult
from raftkv.scheduler import Scheduler
from raftkv.server.auto_compactor import AutoCompactor
from raftkv.server.auto_defragment import AutoDefragmenter
from raftkv.server.backup import Backup, Backups, Opened
from raftkv.server.corruption import CorruptionCheck
from raftkv.server.defragment import Defragmented, Defragmenter
from raftkv.server.engine import Engine
from raftkv.server.fullness import Fullness
from raftkv.server.hashing import CrcDone, HashDone
from raftkv.server.healing import Healing
from raftkv.server.leadership import LeaderMove, Moved, office
from raftkv.server.peer_hashes import HashQuestion
from raftkv.server.proposals import Done
from raftkv.server.quota import QuotaKeeper
from raftkv.server.space import Space
from raftkv.server.state_check import StateCheck
from raftkv.server.upgrade import Upgrade

log = logging.getLogger("raftkv.server")

LOOK_INTERVAL_S = 0.5


class Maintenance:
    def __init__(self, engine: Engine, scheduler: Scheduler) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._me = engine.foundation.member_id
        self._raising: set[Alarm] = set()
        self._background = engine.background
        committer = engine.committer
        quota = engine.config.quota_backend_bytes
        backend = engine.foundation.backend
        self.space = Space(backend, quota, lambda: not committer.in_progress)
        self._defragmenter = Defragmenter(
            backend=backend,
            committer=committer,
            worker=engine.workers.snapshot,
            disk=engine.foundation.disk,
            image_path=engine.foundation.copy_path,
            save_applied=engine.save_applied,
            now=scheduler.now,
        )
        config = engine.config
        self._auto_compactor = AutoCompactor(
            period_s=config.auto_compaction_period_s,
            revisions=config.auto_compaction_revisions,
            scheduler=scheduler,
            revision=lambda: engine.foundation.store.current_revision,
            is_leader=lambda: engine.node.is_leader,
            is_stopped=lambda: engine.stopped,
            propose=self._propose,
        )
        self.corruption = CorruptionCheck(
            me=self._me,
            first_number=engine.foundation.first_number,
            store=engine.foundation.store,
            hashing=self._background.hashing,
            background=self._background.schedule,
            members=lambda: [row.id for row in engine.reconfiguration.members()],
            is_leader=lambda: engine.node.is_leader,
            is_stopped=lambda: engine.stopped,
            raise_alarm=self.raise_alarm,
            accuse=lambda member, reason: self.healing.accuse(member, reason),
            scheduler=scheduler,
            transport=engine.transport,
            interval_s=config.operations.corrupt_check_interval_s,
            compact_interval_s=config.operations.compact_hash_check_interval_s,
        )
        self.upgrade = self._make_upgrade(engine)
        self.healing, self.state_check = self._make_healing(engine)
        self.fullness = Fullness(engine.foundation.store)
        self._ledger = engine.foundation.store.ledger
        self._quota_keeper = self._make_quota_keeper(engine)
        self._auto_defragmenter = self._make_auto_defragmenter(engine)
        self._background.measuring = self._quota_keeper
        self._backups = Backups(
            backend=backend,
            committer=committer,
            worker=engine.workers.snapshot,
            disk=engine.foundation.disk,
            image_path=engine.foundation.copy_path,
            scheduler=scheduler,
        )

    def _make_upgrade(self, engine: Engine) -> Upgrade:
        return Upgrade(
            me=self._me,
            level=engine.applier.level,
            members=lambda: [row.id for row in engine.reconfiguration.members()],
            is_leader=lambda: engine.node.is_leader,
            is_stopped=lambda: engine.stopped,
            links=engine.transport,
            scheduler=self._scheduler,
            propose=self._propose,
            commit=engine.committer.demand,
            committed_index=lambda: engine.committer.committed.index,
            is_plain=lambda: engine.foundation.backend.is_plain,
        )

    def _make_healing(self, engine: Engine) -> tuple[Healing, StateCheck]:
        healing = Healing(engine, self._scheduler, self.raise_alarm)
        return healing, StateCheck(
            me=self._me,
            queue=engine.queue,
            digest=engine.applier.digest,
            level=engine.applier.level,
            members=lambda: [row.id for row in engine.reconfiguration.members()],
            is_leader=lambda: engine.node.is_leader,
            is_stopped=lambda: engine.stopped,
            raise_alarm=self.raise_alarm,
            quarantine=healing.begin,
            propose=self._propose,
            scheduler=self._scheduler,
            transport=engine.transport,
            interval_s=engine.config.operations.healing.state_check_interval_s,
        )

    def _make_quota_keeper(self, engine: Engine) -> QuotaKeeper:
        return QuotaKeeper(
            store=engine.foundation.store,
            applier=engine.applier,
            quota=self.space.quota,
            office=lambda: office(engine),
            propose=self._propose,
            schedule=self._background.schedule,
        )

    def _make_auto_defragmenter(self, engine: Engine) -> AutoDefragmenter | None:
        limits, foundation = engine.config.limits, engine.foundation
        if not engine.config.operations.auto_defrag:
            return None
        return AutoDefragmenter(
            me=self._me,
            members=lambda: [row.id for row in engine.reconfiguration.members()],
            applied_index=lambda: engine.queue.applied_index,
            disk_free=lambda: foundation.disk.free_bytes(engine.config.data_dir),
            run=lambda: self.defragment(lambda error: None),
            bytes_min=limits.defrag_bytes_min,
            turn_entries=limits.defrag_turn_entries,
        )

    def start(self) -> None:
        self._look()
        self._auto_compactor.start()
        self.corruption.start()
        self.upgrade.start()
        self.healing.start()
        self.state_check.start()

    # --- alarms and the quota -----------------------------------------------------------------

    def alarms(self, kind: AlarmKind = AlarmKind.NONE) -> list[Alarm]:
        return self._engine.applier.alarms.active(kind)

    @property
    def quota(self) -> int:
        """What the cluster agreed on, or this member's own while it has not; 0 for none."""
        return self._ledger.quota if self._ledger.is_complete else self.space.quota

    @property
    def live_bytes(self) -> int | None:
        """What the quota is held against; None while the cluster does not count it."""
        return self._ledger.live if self._ledger.is_complete else None

    def has_room(self, cost: int) -> bool:
        """Whether a write of ``cost`` fits under this member's quota. If not, NOSPACE is on its
        way. Once the cluster counts what is live, that is decided when the write is applied."""
        if self._ledger.is_complete or self.space.admit(cost):
            return True
        self.raise_alarm(Alarm(self._me, AlarmKind.NOSPACE))
        return False

    def raise_alarm(self, alarm: Alarm) -> None:
        """Through the log, once, unless it is raised already."""
        if self._engine.applier.alarms.is_active(alarm) or alarm in self._raising:
            return
        self._raising.add(alarm)
        log.warning(
            "alarm raised",
            extra=fields(alarm=alarm.kind.name, raised_member_id=hex_id(alarm.member_id)),
        )
        request = AlarmRequest(
            action=AlarmRequest.ACTIVATE,
            memberID=alarm.member_id,
            alarm=AlarmType.ValueType(alarm.kind),
        )

        def raised(outcome: bytes | RaftKVError) -> None:
            self._raising.discard(alarm)
            if isinstance(outcome, RaftKVError) and not self._engine.stopped:
                log.warning(
                    "cannot raise an alarm",
                    extra=fields(alarm=alarm.kind.name, error=str(outcome)),
                )

        self._propose(RequestKind.ALARM, request.SerializeToString(), raised)

    # --- what an operator asks ----------------------------------------------------------------

    def hash_kv(self, revision: int, done: HashDone) -> None:
        """Raises Compacted, FutureRevision and TooManyRequests."""
        self._background.hashing.hash_kv(revision, done)
        self._background.schedule()

    def hash_for_peer(self, question: HashQuestion) -> HashResult | None:
        """None: ask again."""
        result = self.corruption.peer_hashes.look(question)
        self._background.schedule()
        return result

    def hash_backend(self, done: CrcDone) -> None:
        """Raises TooManyRequests."""
        self._background.hashing.hash_backend(done)
        self._background.schedule()

    def defragment(self, done: Defragmented) -> None:
        def defragmented(error: RaftKVError | None) -> None:
            self._engine.committer.when_open(self.space.refresh)
            done(error)

        if self._engine.quarantine.is_on:
            done(self._engine.quarantine.refusal)
            return
        self._defragmenter.run(defragmented)

    def open_backup(self, done: Opened) -> None:
        """Raises TooManyRequests and Quarantined."""
        if self._engine.quarantine.is_on:
            raise self._engine.quarantine.refusal
        self._backups.open(done)

    def keep_backup(self, name: str, backup: Backup) -> None:
        """For a client that may come back for the rest."""
        self._backups.keep(name, backup)

    def take_backup(self, name: str) -> Backup | None:
        return self._backups.take(name)

    def move_leader(self, target: int, done: Moved) -> None:
        """Raises NotLeader and BadLeaderTransferee."""
        LeaderMove(self._engine, self._scheduler, target, done).start()

    def _look(self) -> None:
        """A member whose clients write elsewhere fills up all the same. One that does not grow
        keeps quiet: whoever has lowered its alarm is not contradicted before the next write."""
        if self._engine.stopped:
            return
        before = self.space.size
        self.space.refresh()
        if not self._engine.committer.in_progress:
            self._quota_keeper.look()
            is_full = self._engine.applier.alarms.is_full
            now = self._scheduler.now()
            self.fullness.look(now, is_full=is_full)
            if self._auto_defragmenter is not None:
                self._auto_defragmenter.look(now, self.space.size, self.space.size_in_use)
        grows = self.space.size > before and not self._ledger.is_complete
        if self.space.is_full and grows and self._engine.leader_id:
            self.raise_alarm(Alarm(self._me, AlarmKind.NOSPACE))
        self._scheduler.call_later(LOOK_INTERVAL_S, self._look)

    def _propose(self, kind: int, payload: bytes, done: Done) -> None:
        """In this member's own name: nobody's token is asked for, with auth enabled too."""
        own = encode_as_member(kind, payload)
        try:
            self._engine.proposals.add(RequestKind.AS_MEMBER, own, done, self._scheduler.now())
        except RaftKVError as error:
            done(error)
            return
        self._engine.loop.schedule()
