"""What this member has to tell whoever shows the cluster: its row, messages and happenings.

Owns: the answer to GET LOOK on the peer port, and whether messages are recorded: only while
somebody has looked within WATCHED_S. Must never do: cost a member anything that nobody looks at,
the rare happenings aside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import parse_qs, urlencode

from raftkv.peer.transport import PeerStatistics, Tap
from raftkv.raft.message import NO_NODE, Role, SoftState
from raftkv.scheduler import Timer
from raftkv.server.member import Member
from raftkv.ui.happenings import Happenings
from raftkv.ui.member_row import MemberRow, Row, name_of
from raftkv.ui.message_ring import MessageRing
from raftkv.ui.text import compact

LOOK = "/raftkv/look"
WATCHED_S = 3.0
NUMBER_DIGITS_MAX = 16

_CAMPAIGNING = (Role.PRE_CANDIDATE, Role.CANDIDATE)


class Wires(Protocol):
    """What of the member's transport is looked at."""

    tap: Tap | None
    link_changed: Callable[[int, bool], None]
    snapshot_begun: Callable[[int], None]

    def statistics(self) -> list[PeerStatistics]: ...

    @property
    def cut_peers(self) -> frozenset[int]: ...


class Witness:
    """``now_ms`` is the wall clock. One per process, from before its member starts."""

    def __init__(
        self, member: Member, wires: Wires, row: MemberRow, now_ms: Callable[[], int]
    ) -> None:
        self.now_ms = now_ms
        self.happenings = Happenings(now_ms)
        self.messages = MessageRing(member.member_id, now_ms)
        self._member = member
        self._wires = wires
        self._row = row
        self._life = now_ms()
        self._role = Role.FOLLOWER
        self._voted_in = 0
        self._watched_until = 0.0
        self._timer: Timer | None = None
        wires.link_changed = self._link_changed
        wires.snapshot_begun = self._snapshot_begun
        member.when_role_changes(self._role_changed)
        self._note("started", "started")

    # --- looking --------------------------------------------------------------------------------

    @property
    def is_watched(self) -> bool:
        return self._timer is not None

    def watch(self) -> None:
        """Somebody looks: record messages for WATCHED_S from now."""
        scheduler = self._member.scheduler
        self._watched_until = scheduler.now() + WATCHED_S
        if self._timer is None:
            self._wires.tap = self.messages.sent
            self._timer = scheduler.call_later(WATCHED_S, self._still_watched)

    def row(self) -> Row:
        return self._row.make()

    def links(self) -> list[Row]:
        """This member's links to the others."""
        cut = self._wires.cut_peers
        found: dict[int, Row] = {
            peer: _link(self._member.member_id, peer, is_cut=True) for peer in cut
        }
        for each in self._wires.statistics():
            found[each.peer] = _link(
                self._member.member_id, each.peer, up=each.is_open, round_trip_s=each.round_trip_s
            )
        return list(found.values())

    def answer(self, path: str) -> bytes:
        """The JSON for GET ``path``, which ``question`` made on another member."""
        self.watch()
        query = parse_qs(path.partition("?")[2])
        same_life = _number(query, "life") == self._life
        messages_since = _number(query, "messages") if same_life else self.messages.last
        messages, dropped = self.messages.since(messages_since)
        happenings = self.happenings.since(_number(query, "happenings") if same_life else 0)
        return compact(
            {
                "t": self.now_ms(),
                "life": self._life,
                "row": self.row(),
                "links": self.links(),
                "messages": messages,
                "dropped": dropped,
                "messages_at": self.messages.last,
                "happenings": [each.as_json() for each in happenings],
                "happenings_at": self.happenings.last,
            }
        )

    def _still_watched(self) -> None:
        scheduler = self._member.scheduler
        left = self._watched_until - scheduler.now()
        if left > 0:
            self._timer = scheduler.call_later(left, self._still_watched)
            return
        self._timer = None
        self._wires.tap = None
        self.messages.clear()

    # --- what happens ---------------------------------------------------------------------------

    def name_of(self, member_id: int) -> str:
        config = self._member.config
        names = [name_of(config, info) for info in self._member.members() if info.id == member_id]
        return names[0] if names else f"{member_id:x}"

    def _role_changed(self, soft: SoftState) -> None:
        was, self._role = self._role, soft.role
        term = self._member.raft_term
        if was is not Role.LEADER and soft.role is Role.LEADER:
            self._note("became_leader", f"became the leader of term {term}")
        elif was is Role.LEADER and soft.role is not Role.LEADER:
            self._note("stepped_down", "leads no more")
        elif was not in _CAMPAIGNING and soft.role in _CAMPAIGNING:
            self._note("began_election", "heard nothing of a leader and asks for votes")
        elif was is Role.PRE_CANDIDATE and soft.role is Role.CANDIDATE:
            self._note("began_election", f"stands for election in term {term}")
        elif soft.role is Role.FOLLOWER and soft.leader_id != NO_NODE:
            self._note_vote(soft.leader_id, term)

    def _note_vote(self, leader: int, term: int) -> None:
        is_vote = self._member.node.status().vote == leader != self._member.member_id
        if is_vote and self._voted_in != term:
            self._voted_in = term
            self._note("voted", f"voted for {self.name_of(leader)} in term {term}")

    def _link_changed(self, peer: int, is_open: bool) -> None:
        if is_open:
            self._note("link_up", f"reaches {self.name_of(peer)}")
        else:
            self._note("link_down", f"lost its link to {self.name_of(peer)}")

    def _snapshot_begun(self, peer: int) -> None:
        self._note("snapshot", f"sends {self.name_of(peer)} a snapshot")

    def _note(self, what: str, does: str) -> None:
        member = self._member
        text = f"{member.config.name} {does}."
        self.happenings.add(member.member_id, what, member.raft_term, text)


def question(life: int, messages: int, happenings: int) -> str:
    """The path that asks for what came after these numbers of that life of a member."""
    return f"{LOOK}?{urlencode({'life': life, 'messages': messages, 'happenings': happenings})}"


def _number(query: Mapping[str, list[str]], name: str) -> int:
    text = query.get(name, ["0"])[0]
    return int(text) if text.isdecimal() and len(text) <= NUMBER_DIGITS_MAX else 0


def _link(
    me: int, peer: int, *, up: bool = False, is_cut: bool = False, round_trip_s: float | None = None
) -> Row:
    rtt_ms = None if round_trip_s is None else round(1000 * round_trip_s, 3)
    return {"from": f"{me:x}", "to": f"{peer:x}", "up": up, "cut": is_cut, "rtt_ms": rtt_ms}
