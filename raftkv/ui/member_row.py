"""What one member tells of itself: one row of the page.

Owns: the row's fields, and what is kept between two rows for rates and latencies. Must never do:
judge, or tell of another member. A row is made when somebody asks, at most some times a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import nlargest

from prometheus_client import Histogram

from raftkv import __version__
from raftkv.apply.batch import RequestKind
from raftkv.apply.membership import MemberInfo
from raftkv.mvcc.watcher import Watcher
from raftkv.raft.message import Role
from raftkv.rpc.watch_stream import WatchStream
from raftkv.server.config import ServerConfig
from raftkv.server.member import Member
from raftkv.ui.log_tail import tail_of
from raftkv.ui.text import readable
from raftkv.ui.windows import Latencies, Rates

SLOW_LOOKED_AT_MAX = 500
SLOW_SHOWN_MAX = 10
RANGE_TEXT_MAX = 80

Row = dict[str, object]

_STATES = {
    Role.FOLLOWER: "follower",
    Role.PRE_CANDIDATE: "pre-candidate",
    Role.CANDIDATE: "candidate",
    Role.LEADER: "leader",
}
_WRITES = (RequestKind.PUT, RequestKind.DELETE_RANGE, RequestKind.TXN)


class MemberRow:
    """``times`` has the histograms "fsync", "commit" and "apply"; ``reads`` counts ranges so far;
    ``ui_url`` is where this member serves a page, "" for none."""

    def __init__(
        self,
        member: Member,
        times: Mapping[str, Histogram],
        reads: Callable[[], int],
        ui_url: str,
    ) -> None:
        self._member = member
        self._began = member.scheduler.now()
        self._reads = reads
        self._ui_url = ui_url
        self._rates = Rates()
        self._latencies = Latencies(times)

    @property
    def state(self) -> str:
        member = self._member
        role = member.node.status().role
        return "learner" if member.is_learner and role is Role.FOLLOWER else _STATES[role]

    def make(self) -> Row:
        member = self._member
        now = member.scheduler.now()
        self._latencies.sample(now)
        raft, status = member.node.status(), member.status()
        applied = member.applied_requests
        writes = sum(applied.get(int(kind), 0) for kind in _WRITES)
        counts = (float(status.applied_index), float(writes), float(self._reads()))
        entries_per_s, writes_per_s, reads_per_s = self._rates.add(now, counts)
        return {
            "id": f"{member.member_id:x}",
            "name": member.config.name,
            "version": __version__,
            "state": self.state,
            "term": raft.term,
            "vote": _id(raft.vote),
            "leader": _id(raft.leader_id),
            "first_index": raft.first_index,
            "last_index": raft.last_index,
            "commit_index": raft.commit,
            "applied_index": status.applied_index,
            "revision": member.store.current_revision,
            "compact_revision": max(member.store.compact_revision, 0),
            "db_bytes": status.db_size,
            "db_bytes_in_use": status.db_size_in_use,
            "quota_bytes": max(status.db_size_quota, 0),
            "entries_per_s": entries_per_s,
            "writes_per_s": writes_per_s,
            "reads_per_s": reads_per_s,
            "fsync_p50_ms": self._latencies.quantile_ms("fsync", 0.5),
            "fsync_p99_ms": self._latencies.quantile_ms("fsync", 0.99),
            "commit_p99_ms": self._latencies.quantile_ms("commit", 0.99),
            "apply_p50_ms": self._latencies.quantile_ms("apply", 0.5),
            "apply_p99_ms": self._latencies.quantile_ms("apply", 0.99),
            "watchers": member.hub.watcher_count,
            "watch_streams": member.hub.streams,
            "slowest_watchers": self._slowest_watchers(),
            "client_urls": list(member.config.advertise_client_urls),
            "peer_urls": list(member.config.initial_advertise_peer_urls),
            "ui_url": self._ui_url,
            "alarms": self._alarms(),
            "uptime_s": round(now - self._began, 1),
            "tail": tail_of(member.node),
        }

    def _alarms(self) -> list[str]:
        me = self._member.member_id
        raised = self._member.maintenance.alarms()
        return sorted({alarm.kind.name for alarm in raised if alarm.member_id == me})

    def _slowest_watchers(self) -> list[Row]:
        current = self._member.store.current_revision
        slow = self._member.hub.slow(SLOW_LOOKED_AT_MAX)
        worst = nlargest(SLOW_SHOWN_MAX, slow, key=lambda each: current - each[1])
        return [_slow_watcher(watcher, current + 1 - next_) for watcher, next_ in worst]


def _slow_watcher(watcher: Watcher, behind: int) -> Row:
    spec = watcher.spec
    stream = watcher.sink if isinstance(watcher.sink, WatchStream) else None
    return {
        "client": "" if stream is None else stream.client,
        "range": range_text(spec.key, spec.range_end),
        "behind": max(behind, 0),
        "backlog_bytes": 0 if stream is None else stream.backlog_bytes,
    }


def range_text(key: bytes, range_end: bytes) -> str:
    """A watched range for people: a key, ``prefix*``, or from .. to."""
    shown = readable(key[:RANGE_TEXT_MAX])
    if not range_end:
        return shown
    if range_end == b"\0":
        return f"{shown} .."
    if range_end[:-1] == key[:-1] and len(key) == len(range_end) and range_end[-1] == key[-1] + 1:
        return f"{shown}*"
    return f"{shown} .. {readable(range_end[:RANGE_TEXT_MAX])}"


def name_of(config: ServerConfig, info: MemberInfo) -> str:
    """As it has published it, or as --initial-cluster has it; its id where neither does."""
    if info.name:
        return info.name
    for name, urls in config.initial_cluster.items():
        if set(urls) & set(info.peer_urls):
            return name
    return f"{info.id:x}"


def _id(number: int) -> str:
    return f"{number:x}" if number else ""
