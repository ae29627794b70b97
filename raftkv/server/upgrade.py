"""When the cluster's level changes: raised once every member is ready, lowered when asked.

Owns: asking all members what they know and offer, and proposing the change. Must never do: change
anything otherwise than by an entry (``raftkv.apply.level``), or count a member that is silent.

A rolling upgrade needs nobody: the leader asks until the last member runs the new version. Before a
rolling downgrade an operator has the level lowered; from that entry on no member asks for what the
older version cannot apply, and each sends a barrier behind what it has asked for before. Once a
member's database has all members' barriers durably (``raftkv.apply.level``), it may be started with
the older version. Members that run on offer the lower level, so that nobody
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
        self._sending_barrier = False
        self._told_epoch = level.row.epoch
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
        if not row.held or not {*row.awaited}.isdisjoint(self._members()):
            return ""
        is_durable = self._is_plain() and self._committed_index() >= row.index
        return VERSIONS[row.level] if is_durable else ""

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
        self._send_barrier()
        if self._is_leader() and self.level.current < OWN_LEVEL and not self._asking:
            self._asking = True
            self._ask_all(partial(self._raise, self.level.row.epoch))

    def _raise(self, epoch: int, offers: dict[int, Offer | None]) -> None:
        """What was offered in an epoch says nothing of the next."""
        self._asking = False
        row = self.level.row
        least = min(OWN_LEVEL if offer is None else offer.offered for offer in offers.values())
        if None in offers.values() or least <= row.level or not self._is_leader():
            return
        if epoch == row.epoch:
            self._send(LevelChange(least, held=False, epoch=epoch), lambda error: None)

    # --- lowering -----------------------------------------------------------------------------

    def _send_barrier(self) -> None:
        """Behind all that this member has asked for, and again until it is in the log: a request
        can be lost with its leader."""
        row = self.level.row
        if self._me not in row.awaited or self._sending_barrier:
            return
        self._sending_barrier = True

        def sent(error: RaftKVError | None) -> None:
            self._sending_barrier = False

        barrier = LevelChange(row.level, row.held, row.epoch - 1, barrier_of=self._me)
        self._send(barrier, sent)

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
        if change.epoch == self.level.row.epoch:
            self._send(change, done)
        else:  # behind our barrier nothing may come that the older version does not know
            done(DowngradeInProcess("the cluster's level was changed by another request meanwhile"))

    def _send(self, change: LevelChange, done: Done) -> None:
        def proposed(outcome: bytes | RaftKVError) -> None:
            done(outcome if isinstance(outcome, RaftKVError) else None)

        self._propose(RequestKind.CLUSTER_LEVEL, change.encode(), proposed)

    def _changed(self) -> None:
        """By an entry, on every member. A downgrade waits for the database to have it."""
        row = self.level.row
        if row.epoch != self._told_epoch:
            self._told_epoch = row.epoch
            log.info(
                "the cluster's level changed",
                extra=fields(
                    local_member_id=hex_id(self._me),
                    cluster_level=row.level,
                    version=VERSIONS[row.level],
                    held_for_downgrade=row.held,
                ),
            )
        self._send_barrier()
        self._commit()
