"""A cluster that is only told of: members with roles, terms, logs and links that fit together.

Owns: MadeUpCluster, which changes as a real one would (elections, writes, stops, cut links) and
gives the contract's events. Its clock is its own. Must never do: any IO.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.ui.made_up_store import MadeUpStore

START_MS = 1_790_000_000_000
TAIL = 24
MESSAGE = {"index": 0, "entries": 0, "commit": 0, "reject": False, "lost": False}


@dataclass
class MadeUpMember:
    id: str
    name: str
    state: str = "follower"
    process: str = "running"
    term: int = 1
    vote: str = ""
    last: int = 0
    commit: int = 0
    applied: int = 0
    ui_url: str = ""
    more: dict[str, Any] = field(default_factory=dict)
    """Fields of the contract that a test sets by hand."""

    @property
    def up(self) -> bool:
        return self.process == "running"


class MadeUpCluster:
    def __init__(self, members: int = 3, *, local: bool = True) -> None:
        self.t = START_MS
        self.local = local
        self.store = MadeUpStore()
        self.members = [MadeUpMember(f"{n:016x}", f"m{n}") for n in range(1, members + 1)]
        self.cut: set[frozenset[str]] = set()
        self.log: list[dict[str, Any]] = []
        self.prefixes: list[dict[str, Any]] = []
        self.writes_per_s = 0.0
        self.elect("m1")

    def member(self, name: str) -> MadeUpMember:
        return next(member for member in self.members if name in (member.name, member.id))

    @property
    def leader(self) -> MadeUpMember | None:
        return next(
            (member for member in self.members if member.up and member.state == "leader"), None
        )

    # --- what happens ---------------------------------------------------------------------------

    def elect(self, name: str) -> None:
        """``name`` wins the next term with the votes of all that are up."""
        winner = self.member(name)
        term = max(member.term for member in self.members) + 1
        for member in self.members:
            if not member.up or member.state == "learner":
                continue
            member.state = "leader" if member is winner else "follower"
            member.term, member.vote = term, winner.id
        self.append("empty", 0)

    def append(self, kind: str, size: int) -> None:
        """An entry that is on every member that is up, committed and applied."""
        leader = self.leader
        assert leader is not None, "nobody takes entries"
        self.log.append(
            {"index": len(self.log) + 1, "term": leader.term, "kind": kind, "bytes": size}
        )
        for member in self.members:
            if member.up:
                member.last = member.commit = member.applied = len(self.log)

    def put(self, key: bytes, value: bytes) -> None:
        self.store.put(key, value)
        self.append("put", len(key) + len(value))

    def stop(self, name: str, process: str = "stopped") -> None:
        member = self.member(name)
        member.process = process
        if process == "stopped":
            member.state = "unknown"

    def start(self, name: str) -> None:
        member = self.member(name)
        leader = self.leader
        member.process, member.state = "running", "follower"
        if leader is not None:
            member.term, member.vote = leader.term, ""
            member.last = member.commit = member.applied = len(self.log)

    # --- what is told ---------------------------------------------------------------------------

    def cluster_event(self, me: str) -> dict[str, Any]:
        mine = self.member(me)
        return {
            "t": self.t,
            "me": mine.id,
            "name": mine.name,
            "cluster_id": "cdf818194e3a8c32",
            "local": self.local,
            "level": 1,
            "version": "0.2.0",
            "election_ms": 1000,
            "heartbeat_ms": 100,
            "members": [self._row(member) for member in self.members],
            "links": [self._link(a, b) for a in self.members for b in self.members if a is not b],
            "prefixes": self.prefixes,
            "sampled": False,
        }

    def _row(self, member: MadeUpMember) -> dict[str, Any]:
        leader = self.leader
        row = {
            "id": member.id,
            "name": member.name,
            "state": member.state,
            "reachable": member.up,
            "age_ms": 40 if member.up else 60_000,
            "process": member.process if self.local else None,
            "term": member.term,
            "vote": member.vote,
            "leader": leader.id if leader else "",
            "first_index": 1,
            "last_index": member.last,
            "commit_index": member.commit,
            "applied_index": member.applied,
            "revision": self.store.revision,
            "compact_revision": 0,
            "tail": self.log[max(0, member.last - TAIL) : member.last],
            "client_urls": [f"http://10.0.0.{member.name[1:]}:2379"],
            "peer_urls": [f"http://10.0.0.{member.name[1:]}:2380"],
            "ui_url": member.ui_url,
            "uptime_s": 300,
        }
        return row | self._numbers(member) | member.more

    def _numbers(self, member: MadeUpMember) -> dict[str, Any]:
        rate = self.writes_per_s if member.up else 0.0
        known = {"fsync_p50_ms": 0.21, "fsync_p99_ms": 1.9, "commit_p99_ms": 4.2}
        known |= {"apply_p50_ms": 0.04, "apply_p99_ms": 0.3}
        return {
            "db_bytes": 64 << 20,
            "db_bytes_in_use": 41 << 20,
            "quota_bytes": 2 << 30,
            "entries_per_s": rate / 2,
            "writes_per_s": rate,
            "reads_per_s": rate * 3,
            "watchers": 12,
            "watch_streams": 3,
            "slowest_watchers": [],
            "alarms": [],
        } | {name: value if rate else None for name, value in known.items()}

    def _link(self, a: MadeUpMember, b: MadeUpMember) -> dict[str, Any]:
        cut = frozenset((a.id, b.id)) in self.cut
        up = a.up and b.up and not cut
        return {"from": a.id, "to": b.id, "up": up, "cut": cut, "rtt_ms": 0.4 if up else None}

    def message(self, a: str, b: str, kind: str, **more: Any) -> dict[str, Any]:
        start, end = self.member(a), self.member(b)
        known = {"t": self.t, "from": start.id, "to": end.id, "type": kind, "term": start.term}
        return MESSAGE | known | more

    def beat(self) -> list[dict[str, Any]]:
        """The leader's heartbeats and their replies; what goes to nobody or a cut link is lost."""
        leader = self.leader
        beats = []
        for member in self.members if leader else []:
            if leader is None or member is leader:
                continue
            lost = not member.up or frozenset((leader.id, member.id)) in self.cut
            beats.append(self.message(leader.name, member.name, "heartbeat", lost=lost))
            if not lost:
                beats.append(self.message(member.name, leader.name, "heartbeat_reply"))
        return beats

    def batch(self, messages: list[dict[str, Any]], dropped: int = 0) -> dict[str, Any]:
        return {"t": self.t, "dropped": dropped, "messages": messages}

    def happening(self, name: str, what: str, text: str) -> dict[str, Any]:
        member = self.member(name)
        return {"t": self.t, "member": member.id, "what": what, "term": member.term, "text": text}
