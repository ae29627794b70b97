"""The other members, as their answers on the peer port show them.

Owns: who is asked when, what each said last, and the clock of each beside ours. Must never do:
trust an answer further than its shape, or ask while nobody looks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from raftkv.apply.membership import MemberInfo
from raftkv.peer.http import HttpAnswer
from raftkv.server.config import ServerConfig
from raftkv.ui.member_row import Row, name_of
from raftkv.ui.message_ring import GIVEN_MAX, Seen
from raftkv.ui.witness import question

ASK_S = 0.25
ASK_AGAIN_S = 1.0
"""After no answer."""
SILENT_S = 1.5
"""Whoever said nothing for so long is shown as out of reach."""
HAPPENINGS_MAX = 64

Ask = Callable[[str, str], Awaitable[HttpAnswer | None]]
"""Gets a peer URL and a path."""

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
    """One other member. Times are of the loop's clock."""

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
    asking: asyncio.Task[None] | None = None

    def is_due(self, now: float) -> bool:
        pause = ASK_S if now - self.answered_at < ASK_AGAIN_S else ASK_AGAIN_S
        return self.asking is None and now - self.asked_at >= pause


class Neighbours:
    """``told`` gets the messages, how many are left out, and the happenings of each answer, with
    times of this member's clock."""

    def __init__(
        self,
        me: int,
        config: ServerConfig,
        members: Callable[[], Sequence[MemberInfo]],
        ask: Ask,
        now_ms: Callable[[], int],
        told: Callable[[list[Seen], int, list[Row]], None],
    ) -> None:
        self._me = me
        self._config = config
        self._members = members
        self._ask = ask
        self._now_ms = now_ms
        self._told = told
        self._known: dict[int, Neighbour] = {}
        self._loop = asyncio.get_running_loop()

    def poll(self) -> None:
        """Ask whoever is due; at most one question to each is under way."""
        now = self._loop.time()
        for info in self._others():
            neighbour = self._known[info.id]
            if neighbour.is_due(now):
                neighbour.asked_at = now
                neighbour.asking = self._loop.create_task(self._ask_one(neighbour, info))

    def forget(self) -> None:
        """Nobody looks any more. What was said is void when somebody looks again."""
        for neighbour in self._known.values():
            if neighbour.asking is not None:
                neighbour.asking.cancel()
        self._known.clear()

    def rows(self) -> list[tuple[MemberInfo, Row]]:
        """One for each other member, with whether it is reachable and how old its row is."""
        now = self._loop.time()
        return [(info, self._row(self._known[info.id], info, now)) for info in self._others()]

    def links(self) -> list[Row]:
        return [link for each in self._known.values() for link in each.links]

    def said(self) -> list[Row]:
        """The rows of those that have given one."""
        return [each.row for each in self._known.values() if each.row is not None]

    async def settle(self, seconds: float) -> None:
        """Until every question under way has its answer, or that time is over."""
        asking = [each.asking for each in self._known.values() if each.asking is not None]
        if asking:
            await asyncio.wait(asking, timeout=seconds)

    # --- inside ---------------------------------------------------------------------------------

    def _others(self) -> list[MemberInfo]:
        others = [info for info in self._members() if info.id != self._me]
        for info in others:
            if info.id not in self._known:
                self._known[info.id] = Neighbour(info.id, self._loop.time())
        for gone in self._known.keys() - {info.id for info in others}:
            del self._known[gone]
        return others

    def _row(self, neighbour: Neighbour, info: MemberInfo, now: float) -> Row:
        has_row = neighbour.row is not None
        age_ms = round(1000 * (now - neighbour.heard_at)) if has_row else None
        return {
            **EMPTY_ROW,
            "client_urls": list(info.client_urls),
            "peer_urls": list(info.peer_urls),
            **(neighbour.row or {}),
            "id": f"{info.id:x}",
            "name": name_of(self._config, info),
            "reachable": now - max(neighbour.answered_at, neighbour.known_at) < SILENT_S,
            "age_ms": age_ms,
        }

    async def _ask_one(self, neighbour: Neighbour, info: MemberInfo) -> None:
        try:
            url = info.peer_urls[neighbour.url % len(info.peer_urls)]
            path = question(neighbour.life, neighbour.messages, neighbour.happenings)
            answer = await self._ask(url, path)
            if answer is None:
                neighbour.url += 1
                return
            neighbour.answered_at = self._loop.time()
            if answer.status == HTTPStatus.OK:  # an older version has no such path: 404
                self._take(neighbour, answer.body)
        except Nonsense:
            neighbour.answered_at = float("-inf")
        finally:
            neighbour.asking = None

    def _take(self, neighbour: Neighbour, body: bytes) -> None:
        """Raises Nonsense."""
        try:
            said: dict[str, Any] = json.loads(body)
            row, links = dict(said["row"]), [dict(each) for each in said["links"]]
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
        neighbour.heard_at = self._loop.time()
        self._told(messages, dropped, happenings)
