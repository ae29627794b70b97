"""When the cluster's level changes: raised once every member is ready, lowered when asked.

Owns: asking all members what they know and offer, and proposing the change. Must never do: change
anything otherwise than by an entry (``raftkv.apply.level``), or count a member that is silent.

A rolling upgrade needs nobody: the leader asks until the last member runs the new version. Before a
rolling downgrade an operator has the level lowered; from that entry on nothing enters the log that
the older version cannot apply, and once a member's database has that entry durably, the member
may be started with the older version. Members that run on offer the lower level, so that nobody
raises it again; those that were started since offer what they know: if all were, the downgrade is
over, or was never begun. As etcd's Downgrade (3.6), but that etcd's leader ends the job itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from raftkv.apply.batch import RequestKind
from raftkv.apply.level import LEVEL_0_1, OWN_LEVEL, VERSIONS, ClusterLevel, LevelChange
from raftkv.errors import DowngradeInProcess, NotCapable, RaftKVError, Unavailable
from raftkv.log_fields import fields, hex_id
from raftkv.peer.offer import Offer
from raftkv.scheduler import Scheduler

LOOK_S = 0.5
"""Between two questions of a leader whose cluster could know more."""

log = logging.getLogger("raftkv.server")

Asked = Callable[[Offer | None], None]
Done = Callable[[RaftKVError | None], None]
Propose = Callable[[int, bytes, Callable[[bytes | RaftKVError], None]], None]


class OfferLinks(Protocol):
    def ask_offer(self, peer: int, done: Asked) -> None:
        """None for a peer that does not answer."""


class Upgrade:
    """``members`` gives the ids of all members, this one's too. ``committed_index`` is the applied
    index that the database would have after a crash now; ``commit`` has it move on soon."""

    def __init__(
        self,
        *,
        me: int,
        level: ClusterLevel,
        members: Callable[[], Sequence[int]],
        is_leader: Callable[[], bool],
        is_stopped: Callable[[], bool],
        links: OfferLinks,
        scheduler: Scheduler,
        propose: Propose,
        commit: Callable[[], None],
        committed_index: Callable[[], int],
        is_plain: Callable[[], bool] = lambda: True,
    ) -> None:
        self._me = me
        self.level = level
        self._members = members
        self._is_leader = is_leader
        self._is_stopped = is_stopped
        self._links = links
        self._scheduler = scheduler
        self._propose = propose
        self._commit = commit
        self._committed_index = committed_index
        self._is_plain = is_plain
        self._epoch_at_start = level.row.epoch
        self._asking = False
        level.changed = self._changed

    def start(self) -> None:
        self._look()

    def offer(self) -> Offer:
        """What this member says when it is asked."""
        row = self.level.row
        held_here = row.held and row.epoch > self._epoch_at_start
        return Offer(OWN_LEVEL, row.level if held_here else OWN_LEVEL, row.level)

    @property
    def held_version(self) -> str:
        """The version that this member may be replaced by now; "" while there is none."""
        row = self.level.row
        if not row.held or not self._is_plain() or self._committed_index() < row.index:
            return ""
        return VERSIONS[row.level]

    def lower(self, done: Done) -> None:
        """To the level before, for a downgrade. Raises DowngradeInProcess."""
        row = self.level.row
        if row.held:
            raise DowngradeInProcess(f"to {VERSIONS[row.level]}: cancel it first")
        change = LevelChange(LEVEL_0_1, held=True, epoch=row.epoch)
        self._ask_all(lambda offers: self._when_all_know(offers, change, done))

    def cancel(self, done: Done) -> None:
        """End what ``lower`` began; with nothing begun there is nothing to do."""
        row = self.level.row
        if not row.held:
            done(None)
            return
        change = LevelChange(row.level, held=False, epoch=row.epoch)
        self._ask_all(lambda offers: self._when_all_know(offers, change, done))

    # --- raising ------------------------------------------------------------------------------

    def _look(self) -> None:
        """The level can be below what we know for months: this is one question a peer and look."""
        if self._is_stopped():
            return
        self._scheduler.call_later(LOOK_S, self._look)
        if self._is_leader() and self.level.current < OWN_LEVEL and not self._asking:
            self._asking = True
            self._ask_all(self._raise)

    def _raise(self, offers: dict[int, Offer | None]) -> None:
        self._asking = False
        row = self.level.row
        least = min(OWN_LEVEL if offer is None else offer.offered for offer in offers.values())
        if None in offers.values() or least <= row.level or not self._is_leader():
            return
        self._send(LevelChange(least, held=False, epoch=row.epoch), lambda error: None)

    # --- asking and proposing -----------------------------------------------------------------

    def _ask_all(self, told: Callable[[dict[int, Offer | None]], None]) -> None:
        """Each question ends by itself: with an answer, or with the link's timeout."""
        offers: dict[int, Offer | None] = {self._me: self.offer()}
        members = {*self._members(), self._me}

        def answered(member: int, offer: Offer | None) -> None:
            offers[member] = offer
            if len(offers) == len(members) and not self._is_stopped():
                told(offers)

        others = members - {self._me}
        if not others:
            told(offers)
        for member in sorted(others):
            self._links.ask_offer(member, partial(answered, member))

    def _when_all_know(
        self, offers: dict[int, Offer | None], change: LevelChange, done: Done
    ) -> None:
        """A member that knows no levels could not apply the entry."""
        for member, offer in offers.items():
            if offer is None:
                done(Unavailable(f"member {member:x} does not answer: start it, or remove it"))
                return
            if offer.known == LEVEL_0_1:
                done(NotCapable(f"member {member:x} runs {VERSIONS[LEVEL_0_1]}"))
                return
        self._send(change, done)

    def _send(self, change: LevelChange, done: Done) -> None:
        def proposed(outcome: bytes | RaftKVError) -> None:
            done(outcome if isinstance(outcome, RaftKVError) else None)

        self._propose(RequestKind.CLUSTER_LEVEL, change.encode(), proposed)

    def _changed(self) -> None:
        """By an entry, on every member. A downgrade waits for the database to have it."""
        row = self.level.row
        log.info(
            "the cluster's level changed",
            extra=fields(
                local_member_id=hex_id(self._me),
                cluster_level=row.level,
                version=VERSIONS[row.level],
                held_for_downgrade=row.held,
            ),
        )
        self._commit()
