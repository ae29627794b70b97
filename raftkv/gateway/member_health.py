"""What the HTTP side asks of a member, asked.

Owns: MemberHealth (a HealthSource) and the MetricsSnapshot of a member. Must never do: judge; the
member says what it knows, ``http`` says what that means for a probe.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
from collections.abc import Mapping, Sequence

from raftkv import ETCD_VERSION
from raftkv.errors import RaftKVError
from raftkv.gateway.health_source import Trouble
from raftkv.gateway.metrics import MetricsSnapshot
from raftkv.mvcc.query import RangeQuery
from raftkv.server.member import Member

PROBE_KEY = b"health"
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


class MemberHealth:
    def __init__(self, member: Member) -> None:
        self._member = member

    async def alarms(self) -> Sequence[str]:
        return [alarm.kind.name for alarm in self._member.maintenance.alarms()]

    def has_leader(self) -> bool:
        return self._member.leader_id != 0

    async def check_read(self, *, serializable: bool) -> Trouble | None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Trouble | None] = loop.create_future()

        def proceed(error: RaftKVError | None) -> None:
            if answer.done():
                return
            if error is None:
                try:
                    self._member.store.range(RangeQuery(PROBE_KEY, limit=1))
                except RaftKVError as damage:
                    error = damage
            answer.set_result(None if error is None else _trouble(error))

        (self._member.read_local if serializable else self._member.linearize)(proceed)
        return await answer

    def is_committing(self) -> bool:
        return self._member.is_committing

    def disk_stall_s(self) -> float:
        return self._member.disk_stall_s

    def is_learner(self) -> bool:
        return self._member.is_learner and not self._member.is_observer

    def cluster_version(self) -> str | None:
        return ETCD_VERSION


def _trouble(error: RaftKVError) -> Trouble:
    """NoLeader is no_leader, and so on."""
    reason = _HUMP.sub("_", type(error).__name__).lower()
    return Trouble(reason, str(error))


def metrics_snapshot(
    member: Member,
    *,
    sent: int,
    received: int,
    watch_streams: int,
    features: Mapping[str, tuple[bool, str]],
) -> MetricsSnapshot:
    """``sent`` and ``received`` are the client port's bytes so far."""
    status = member.status()
    return MetricsSnapshot(
        has_leader=status.leader_id != 0,
        is_leader=status.leader_id == member.member_id,
        is_learner=status.is_learner,
        leader_changes=member.leader_changes,
        proposals_committed=status.raft_index,
        proposals_applied=status.applied_index,
        proposals_pending=member.proposals_pending,
        proposals_failed=member.proposals_failed,
        db_quota_bytes=status.db_size_quota,
        db_size_bytes=status.db_size,
        db_size_in_use_bytes=status.db_size_in_use,
        live_bytes=member.maintenance.live_bytes,
        prefix_quotas=member.store.prefix_quotas.rows(),
        top_prefixes=member.maintenance.fullness.top,
        current_revision=member.store.current_revision,
        compact_revision=member.store.compact_revision,
        auth_revision=member.authority.book.revision,
        is_quarantined=member.quarantine.is_on,
        quarantines=member.quarantine.times,
        repairs=member.maintenance.healing.repairs,
        scrubbed_rows=member.maintenance.healing.scrub.rows,
        every_row_has_check=member.maintenance.healing.scrub.every_row_has_check,
        scrub_passes=member.maintenance.healing.scrub.passes,
        state_checks=member.maintenance.state_check.rounds,
        watchers=member.hub.watcher_count,
        slow_watchers=member.hub.slow_count,
        watch_streams=watch_streams,
        client_bytes_sent=sent,
        client_bytes_received=received,
        member_id=member.member_id,
        server_version=ETCD_VERSION,
        cluster_version=ETCD_VERSION,
        applied=member.applied_requests,
        alarms=[(alarm.member_id, alarm.kind.name) for alarm in member.maintenance.alarms()],
        features=features,
        fds_used=len(os.listdir("/proc/self/fd")),
        fds_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    )
