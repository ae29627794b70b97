"""The other members, as their answers on the peer port show them.

Owns: who is asked when, what each said last, and the clock of each beside ours. Must never do:
trust an answer further than its shape, or ask while nobody looks.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

from raftkv.apply.membership import MemberInfo
from raftkv.log_fields import fields
from raftkv.peer.http import HttpAnswer
from raftkv.server.member import Member
from raftkv.ui.member_row import Row, name_of
from raftkv.ui.message_ring import GIVEN_MAX, Seen
from raftkv.ui.witness import question

ASK_S = 0.25
ASK_AGAIN_S = 1.0
"""After no answer."""
SILENT_S = 1.5
"""Whoever said nothing for so long is shown as out of reach."""
HAPPENINGS_MAX = 64
LIST_MAX = 64

log = logging.getLogger("raftkv.ui")

Ask = Callable[[str, str, Callable[[HttpAnswer | None], None]], None]
"""Gets a peer URL, a path, and where to put the answer; None when there is none in time."""

EMPTY_ROW: Row = {
    "state": "unknown",
    **dict.fromkeys(
        (
            "term", "first_index", "last_index", "commit_index", "applied_index", "revision",
            "compact_revision", "db_bytes", "db_bytes_in_use", "quota_bytes", "entries_per_s",
            "writes_per_s", "reads_per_s", "fsync_p50_ms", "fsync_p99_ms", "commit_p99_ms",
            "apply_p50_ms", "apply_p99_ms", "watchers", "watch_streams", "uptime_s",
        )
    ),
    "vote": "",
    "leader": "",
    "version": "",
    "ui_url": "",
    "slowest_watchers": [],
    "alarms": [],
    "tail": [],
}  # fmt: skip
"""Of a member that has not told anything."""


class Nonsense(ValueError):
    """An answer that no member of ours gives."""


@dataclass(slots=True)
class Neighbour:
    """One other member. Times are of the scheduler."""

    id: int
    known_at: float
    row: Row | None = None
    links: list[Row] = field(default_factory=list)
    heard_at: float = float("-inf")
    answered_at: float = float("-inf")
    """``heard_at`` is of its last row, ``answered_at`` of anything at all."""
    asked_at: float = float("-inf")
    life: int = 0
    messages: int = 0
    happenings: int = 0
    url: int = 0
    """Which of its peer URLs is asked next."""
    is_asked: bool = False
    """A question is under way."""

    def is_due(self, now: float) -> bool:
        pause = ASK_S if now - self.answered_at < ASK_AGAIN_S else ASK_AGAIN_S
        return not self.is_asked and now - self.asked_at >= pause


class Neighbours:
    """``told`` gets the messages, how many are left out, and the happenings of each answer, with
    times of this member's clock."""

    def __init__(
        self,
        member: Member,
        ask: Ask,
        now_ms: Callable[[], int],
        told: Callable[[list[Seen], int, list[Row]], None],
    ) -> None:
        self._member = member
        self._now = member.scheduler.now
        self._ask = ask
        self._now_ms = now_ms
        self._told = told
        self._known: dict[int, Neighbour] = {}

    def poll(self) -> None:
        """Ask whoever is due; at most one question to each is under way."""
        now = self._now()
        for info in self._others():
            neighbour = self._known[info.id]
            if neighbour.is_due(now):
                neighbour.asked_at, neighbour.is_asked = now, True
                url = info.peer_urls[neighbour.url % len(info.peer_urls)]
                path = question(neighbour.life, neighbour.messages, neighbour.happenings)
                self._ask(url, path, partial(self._answered, neighbour))

    def forget(self) -> None:
        """Nobody looks any more. What was said, or is still being said, is void."""
        self._known.clear()

    def forget_old(self) -> None:
        """Somebody looks again: only what was said just now counts."""
        since = self._now() - SILENT_S
        self._known = {id_: each for id_, each in self._known.items() if each.heard_at > since}

    def all_have_said(self) -> bool:
        """Whether each other member has given a row."""
        others = self._others()
        return all(self._known[info.id].row is not None for info in others)

    def rows(self) -> list[tuple[MemberInfo, Row]]:
        """One for each other member, with whether it is reachable and how old its row is."""
        now = self._now()
        return [(info, self._row(self._known[info.id], info, now)) for info in self._others()]

    def links(self) -> list[Row]:
        return [link for each in self._known.values() for link in each.links]

    def said(self) -> list[Row]:
        """The rows of those that have given one."""
        return [each.row for each in self._known.values() if each.row is not None]

    # --- inside ---------------------------------------------------------------------------------

    def _others(self) -> list[MemberInfo]:
        me = self._member.member_id
        others = [info for info in self._member.members() if info.id != me]
        for info in others:
            if info.id not in self._known:
                self._known[info.id] = Neighbour(info.id, self._now())
        for gone in self._known.keys() - {info.id for info in others}:
            del self._known[gone]
        return others

    def _row(self, neighbour: Neighbour, info: MemberInfo, now: float) -> Row:
        has_row = neighbour.row is not None
        age_ms = round(1000 * (now - neighbour.heard_at)) if has_row else None
        return {
            **EMPTY_ROW,
            **(neighbour.row or {}),
            "client_urls": list(info.client_urls),
            "peer_urls": list(info.peer_urls),
            "id": f"{info.id:x}",
            "name": name_of(self._member.config, info),
            "reachable": now - max(neighbour.answered_at, neighbour.known_at) < SILENT_S,
            "age_ms": age_ms,
        }

    def _answered(self, neighbour: Neighbour, answer: HttpAnswer | None) -> None:
        neighbour.is_asked = False
        if self._known.get(neighbour.id) is not neighbour:
            return
        if answer is None:
            neighbour.url += 1
            return
        if answer.status == HTTPStatus.OK:  # an older version has no such path: 404
            try:
                self._take(neighbour, answer.body)
            except Nonsense as e:
                log.warning("a member answers nonsense", extra=fields(error=str(e)))
                return
        neighbour.answered_at = self._now()

    def _take(self, neighbour: Neighbour, body: bytes) -> None:
        """Raises Nonsense."""
        try:
            said: dict[str, Any] = json.loads(body)
            row, links = _row_of(said["row"]), [_link_of(each) for each in said["links"]]
            messages = [dict(each) for each in said["messages"]][:GIVEN_MAX]
            happenings = [dict(each) for each in said["happenings"]][:HAPPENINGS_MAX]
            numbers = [int(said[name]) for name in ("life", "messages_at", "happenings_at")]
            ahead_ms, dropped = int(said["t"]) - self._now_ms(), int(said["dropped"])
            for each in (*messages, *happenings):
                each["t"] = int(each["t"]) - ahead_ms
        except (ValueError, KeyError, TypeError) as e:
            raise Nonsense(f"member {neighbour.id:x} said {body[:80]!r}: {e!r}") from None
        neighbour.row, neighbour.links = row, links
        neighbour.life, neighbour.messages, neighbour.happenings = numbers
        neighbour.heard_at = self._now()
        self._told(messages, dropped, happenings)


def _row_of(said: dict[str, Any]) -> Row:
    """The fields that we know, lists where lists belong. Raises TypeError, ValueError."""
    row = {name: said[name] for name in EMPTY_ROW if name in said}
    for name, empty in EMPTY_ROW.items():
        if isinstance(empty, list) and name in row:
            row[name] = list(row[name])[:LIST_MAX]
    return row


def _link_of(said: dict[str, Any]) -> Row:
    """Raises KeyError, TypeError."""
    return {name: said[name] for name in ("from", "to", "up", "cut", "rtt_ms")}
