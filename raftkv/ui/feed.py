"""The events of all open pages of this member: made once, sent to each.

Owns: the pages, the turns in which events are made while there is one, and the merging of what the
members tell. Must never do: run, ask or record anything while no page is open; wait for a page that
does not read.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from raftkv.scheduler import Timer
from raftkv.server.member import Member
from raftkv.ui.local_state import LocalState
from raftkv.ui.member_row import Row
from raftkv.ui.message_ring import GIVEN_MAX, Seen
from raftkv.ui.neighbours import Ask, Neighbours
from raftkv.ui.prefixes import Prefixes
from raftkv.ui.text import compact
from raftkv.ui.witness import Witness

TURN_S = 0.1
TURNS_PER_CLUSTER_EVENT = 5
PAGES_MAX = 16
HAPPENINGS_KEPT_MAX = 100
PROCESS_NEWS_MAX = 32
HAPPENINGS_AGE_MS_MAX = 60_000
PENDING_MAX = 1_000
"""Messages that wait for the next turn; each turn sends GIVEN_MAX at most."""


class Page(Protocol):
    """One open page."""

    def offer(self, event: bytes, *, droppable: bool) -> None:
        """Send it, or not if the page is too far behind and ``event`` may be left out. Never
        blocks."""

    def still_allowed(self) -> bool:
        """Whether who opened it may go on looking."""

    def end(self) -> None: ...


class Local(Protocol):
    """The control of `raftkv local`, as the feed sees it."""

    @property
    def state(self) -> LocalState: ...


class Feed:
    """``local`` is None for a member that `raftkv local` has not started."""

    def __init__(
        self,
        member: Member,
        witness: Witness,
        ask: Ask,
        prefixes: Prefixes,
        local: Local | None,
    ) -> None:
        self._member = member
        self._witness = witness
        self._prefixes = prefixes
        self._local = local
        self._neighbours = Neighbours(member, ask, witness.now_ms, self._told)
        self._pages: set[Page] = set()
        self._timer: Timer | None = None
        self._turns = 0
        self._began_ms = 0
        self._is_whole = False
        self._pending: deque[Seen] = deque(maxlen=PENDING_MAX)
        self._dropped = 0
        self._happenings: deque[Row] = deque(maxlen=HAPPENINGS_KEPT_MAX)
        self._fresh: list[Row] = []
        self._own_messages = self._own_happenings = 0
        self._alarms: set[tuple[str, str]] | None = None
        self._names: dict[str, str] = {}
        self._silent: set[str] = set()
        self._processes: dict[str, str] = {}
        self._process_news: deque[Row] = deque(maxlen=PROCESS_NEWS_MAX)
        self._ui_urls: set[str] = set()
        """As they were told last: whoever is out of reach later has told it before."""

    # --- pages ----------------------------------------------------------------------------------

    @property
    def pages(self) -> int:
        return len(self._pages)

    def open(self, page: Page) -> None:
        """From now on ``page`` gets all events, the state of the cluster at once."""
        if not self._pages:
            self._begin()
        self._pages.add(page)
        page.offer(event("cluster", self.cluster()), droppable=False)
        for happening in sorted(self._happenings, key=_time_of):
            page.offer(event("happening", {**happening, "past": True}), droppable=False)

    def close(self, page: Page) -> None:
        self._pages.discard(page)
        if not self._pages:
            self._end()

    def end(self) -> None:
        """The member stops."""
        for page in list(self._pages):
            page.end()

    def _begin(self) -> None:
        self._witness.watch()
        self._began_ms = self._witness.now_ms()
        self._neighbours.forget_old()
        self._is_whole = self._neighbours.all_have_said()
        self._own_messages, self._own_happenings = self._witness.messages.last, 0
        self._alarms = None
        self._names.clear()
        self._silent.clear()
        self._told([], 0, list(self._process_news))
        self._collect_own()
        self._fresh.clear()  # they are in _happenings, which each page gets as it opens
        self._turn()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ui_urls |= {str(row["ui_url"]) for row in self._neighbours.said()}
        self._neighbours.forget()
        self._prefixes.forget()
        self._pending.clear()
        self._happenings.clear()
        self._fresh.clear()
        self._dropped = 0

    # --- where the others' pages are ------------------------------------------------------------

    @property
    def ui_urls(self) -> frozenset[str]:
        """Of the members that have told it, or of which `raftkv local` has."""
        told = {str(row["ui_url"]) for row in self._neighbours.said()}
        if self._local is not None:
            told |= {each.ui_url for each in self._local.state.members.values()}
        return frozenset(told | self._ui_urls) - {""}

    def ask_once(self) -> None:
        """A page is about to be opened: it will want to know how and where the others are."""
        if not self._pages:
            self._neighbours.poll()

    @property
    def knows_ui_urls(self) -> bool:
        """Without having asked for them."""
        return self._local is not None

    # --- turns ----------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._timer = self._member.scheduler.call_later(TURN_S, self._turn)
        self.turn()

    def turn(self) -> None:
        """One step of all that is done while somebody looks."""
        self._witness.watch()
        self._neighbours.poll()
        self._prefixes.step()
        self._collect_own()
        self._send_happenings()
        self._send_messages()
        self._turns += 1
        if not self._is_whole and self._neighbours.all_have_said():
            self._is_whole = True  # the first state had rows of nothing but names
            self._broadcast(event("cluster", self.cluster()), droppable=True)
        elif self._turns % TURNS_PER_CLUSTER_EVENT == 0:
            for page in [page for page in self._pages if not page.still_allowed()]:
                page.end()
                self.close(page)
            self._broadcast(event("cluster", self.cluster()), droppable=True)

    def _broadcast(self, data: bytes, *, droppable: bool) -> None:
        for page in list(self._pages):
            page.offer(data, droppable=droppable)

    def _collect_own(self) -> None:
        witness = self._witness
        messages, dropped = witness.messages.since(self._own_messages)
        happenings = [each.as_json() for each in witness.happenings.since(self._own_happenings)]
        self._own_messages, self._own_happenings = witness.messages.last, witness.happenings.last
        self._told(messages, dropped, happenings)

    def _told(self, messages: list[Seen], dropped: int, happenings: list[Row]) -> None:
        since = self._witness.now_ms() - HAPPENINGS_AGE_MS_MAX
        happenings = [each for each in happenings if _time_of(each) >= since]
        over = max(len(self._pending) + len(messages) - PENDING_MAX, 0)
        self._pending.extend(messages)
        self._dropped += dropped + over
        self._fresh += happenings
        self._happenings.extend(happenings)

    def _send_messages(self) -> None:
        if not self._pending and not self._dropped:
            return
        newest = sorted(self._pending, key=_time_of)[-GIVEN_MAX:]
        dropped = self._dropped + len(self._pending) - len(newest)
        self._pending.clear()
        self._dropped = 0
        told = {"t": self._witness.now_ms(), "dropped": dropped, "messages": newest}
        self._broadcast(event("messages", told), droppable=True)

    def _send_happenings(self) -> None:
        fresh, self._fresh = sorted(self._fresh, key=_time_of), []
        for happening in fresh:
            if _time_of(happening) < self._began_ms:  # another member has just told us
                happening = {**happening, "past": True}
            self._broadcast(event("happening", happening), droppable=False)

    # --- the state of the cluster ---------------------------------------------------------------

    def cluster(self) -> Row:
        """The data of a ``cluster`` event."""
        member, witness = self._member, self._witness
        own = {**witness.row(), "reachable": True, "age_ms": 0}
        infos = {info.id: info for info in member.members()}
        if member.member_id in infos:
            own["peer_urls"] = list(infos[member.member_id].peer_urls)
        rows = [own, *(row for _, row in self._neighbours.rows())]
        for row in rows:
            self._add_local(row)
        rows.sort(key=lambda row: (str(row["name"]), str(row["id"])))
        self._note_changes(rows)
        return {
            "t": witness.now_ms(),
            "me": f"{member.member_id:x}",
            "name": member.config.name,
            "cluster_id": f"{member.cluster_id:x}",
            "local": self._local is not None,
            "level": member.maintenance.upgrade.level.current,
            "heartbeat_ms": member.config.heartbeat_interval_ms,
            "election_ms": member.config.election_timeout_ms,
            "version": own["version"],
            "members": rows,
            "links": self._links(rows),
            "prefixes": self._prefixes.top(),
            "sampled": self._prefixes.is_sampled,
        }

    def _add_local(self, row: Row) -> None:
        row["process"] = None
        if self._local is None:
            return
        urls = row["peer_urls"]
        assert isinstance(urls, list), urls
        each = self._local.state.members.get(self._local.state.name_at(tuple(urls)))
        if each is not None:
            row["process"] = each.process
            row["ui_url"] = row["ui_url"] or each.ui_url
            row["reachable"] = bool(row["reachable"]) and each.process == "running"

    def _links(self, rows: list[Row]) -> list[Row]:
        """Every pair of members, both ways; what nobody has told of is down."""
        told = {(link["from"], link["to"]): link for link in self._neighbours.links()}
        told |= {(link["from"], link["to"]): link for link in self._witness.links()}
        cut = self._cut_pairs(rows)
        found: list[Row] = []
        for a in rows:
            for b in rows:
                if a is b:
                    continue
                link = told.get((a["id"], b["id"]))
                is_cut = (a["id"], b["id"]) in cut or bool(link and link["cut"])
                up = bool(link and link["up"] and a["reachable"] and not is_cut)
                rtt_ms = link["rtt_ms"] if link and up else None
                found.append(
                    {"from": a["id"], "to": b["id"], "up": up, "cut": is_cut, "rtt_ms": rtt_ms}
                )
        return found

    def _cut_pairs(self, rows: list[Row]) -> set[tuple[object, object]]:
        if self._local is None:
            return set()
        ids = {str(row["name"]): row["id"] for row in rows}
        pairs = {(ids.get(a), ids.get(b)) for a, b in self._local.state.cuts}
        return pairs | {(b, a) for a, b in pairs}

    # --- what is noticed by looking -------------------------------------------------------------

    def _note_changes(self, rows: list[Row]) -> None:
        """Members that come and go, alarms, and where no `raftkv local` knows it, members that fall
        silent."""
        self._note_members({str(row["id"]): str(row["name"]) for row in rows})
        alarms = {(str(row["id"]), str(name)) for row in rows for name in _list(row["alarms"])}
        fresh = alarms - self._alarms if self._alarms is not None else set()
        by_id = {str(row["id"]): row for row in rows}
        for member_id, name in sorted(fresh):
            self._note(by_id[member_id], "alarm", f"raises the alarm {name}")
        self._alarms = alarms
        if self._local is not None:
            return
        silent = {
            str(row["id"])
            for row in rows
            if not row["reachable"] and (row["age_ms"] is not None or row["id"] in self._silent)
        }
        for member_id in sorted(silent - self._silent):
            self._note(by_id[member_id], "stopped", "does not answer any more")
        self._silent = silent

    def local_changed(self, state: LocalState) -> None:
        """`raftkv local` tells how things stand; also while no page is open."""
        ids = {state.name_at(info.peer_urls): info.id for info in self._member.members()}
        for name, each in state.members.items():
            what = _PROCESS_NEWS.get((self._processes.get(name, ""), each.process))
            self._processes[name] = each.process
            if what is not None and name in ids:
                happening = self._happening(f"{ids[name]:x}", what[0], None, f"{name} {what[1]}.")
                self._process_news.append(happening)
                if self._pages:
                    self._told([], 0, [happening])

    def _note_members(self, names: dict[str, str]) -> None:
        before, self._names = self._names, names
        if not before:
            return  # the first look
        told = [
            *((each, "member_added", f"{names[each]} is a member now") for each in names),
            *((each, "member_removed", f"{before[each]} is no member any more") for each in before),
        ]
        for member_id, what, text in told:
            if (member_id in before) != (member_id in names):
                happening = self._happening(member_id, what, None, f"{text}.")
                self._happenings.append(happening)
                self._fresh.append(happening)

    def _note(self, row: Row, what: str, does: str) -> None:
        happening = self._happening(str(row["id"]), what, row["term"], f"{row['name']} {does}.")
        self._happenings.append(happening)
        self._fresh.append(happening)

    def _happening(self, member_id: str, what: str, term: object, text: str) -> Row:
        return {
            "t": self._witness.now_ms(),
            "member": member_id,
            "what": what,
            "term": term if term is not None else self._member.raft_term,
            "text": text,
        }


_PROCESS_NEWS = {
    ("running", "stopped"): ("stopped", "has stopped"),
    ("paused", "stopped"): ("stopped", "has stopped"),
    ("running", "paused"): ("paused", "is paused: it runs no instruction"),
    ("paused", "running"): ("resumed", "goes on where it was paused"),
}
"""A member that starts says so itself."""


def event(name: str, data: Row) -> bytes:
    """One event of a text/event-stream."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), compact(data))


def _time_of(each: Row) -> int:
    at = each["t"]
    assert isinstance(at, int), at
    return at


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
