"""An operator who changes the members of a simulated cluster while faults go on.

Owns: which machines are members to be, are members, or are out of it, and the requests that make
them so. Must never do: help a member along, or leave less of a cluster than an operator may: a
member is removed or replaced only while that many of the others run that they are a quorum.
A request's answer may be lost; what became of it is read from the members' list.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from raftkv.apply.member_change import MemberAction, MemberStep
from raftkv.errors import RaftKVError
from raftkv.server.status import MemberInfo
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine

LOOK_AGAIN_S = 0.05
PROMOTE_AGAIN_S = 0.3
MACHINES_MAX = 30
MEMBERS_MAX = 6
FIRST_NEW_ID = 1 << 32


class Operator:
    """``out`` gets the names of machines that may stay down for ever. ``revive`` starts one."""

    def __init__(
        self, cluster: SimulatedCluster, out: set[str], revive: Callable[[Machine], None]
    ) -> None:
        self._cluster = cluster
        self._out = out
        self._revive = revive
        self._joining: set[str] = set()
        self._next_id = FIRST_NEW_ID

    def may_start(self, machine: Machine) -> bool:
        """Whether there is anything to start: not a lost disk, nor who is not added yet. Who was
        removed may: it says so and ends."""
        return machine.name not in self._joining and machine.name not in self._out

    def add(self, machine: Machine, action: MemberAction) -> None:
        """One more, asked for at ``machine``; a learner is promoted as soon as it may be: by the
        operator, or, one that joins, by its leader."""
        if machine.process is None or len(self._list()) >= MEMBERS_MAX or self._has_no_machine():
            return
        new = self._cluster.add_machine()
        self._change(machine, [self._added(new, action)], new)
        if action is MemberAction.ADD_LEARNER:
            self._cluster.scheduler.call_later(LOOK_AGAIN_S, partial(self._promote, new))

    def remove(self, machine: Machine) -> None:
        """``machine`` goes, if a quorum of the rest runs; the leader is asked."""
        leader = self._cluster.leader()
        if leader is None or leader.process is None or not self._can_go(leader, machine):
            return
        self._ask(leader, [MemberStep(MemberAction.REMOVE, machine.member_id)])

    def replace(self, machine: Machine, *, when_caught_up: bool) -> None:
        """``machine`` goes and a new one comes, in one joint change: now, or when the new one has
        caught up."""
        leader = self._cluster.leader()
        if leader is None or leader.process is None or not self._can_go(leader, machine):
            return
        if self._has_no_machine():
            return
        new = self._cluster.add_machine()
        if when_caught_up:
            joins = self._added(new, MemberAction.JOIN, replaces=machine.member_id)
            self._change(leader, [joins], new)
            return
        leave = MemberStep(MemberAction.REMOVE, machine.member_id)
        self._change(leader, [leave, self._added(new)], new)

    def wipe(self, machine: Machine) -> None:
        """The disk is lost, and whoever changed it starts the member as it was first started: it
        must be refused. Then it is removed."""
        leader = self._cluster.leader()
        if leader is None or leader.process is None or not self._can_go(leader, machine):
            return
        known = {row.id for row in leader.process.member.members() if row.has_started}
        if machine is leader or machine.member_id not in known or machine.name in self._out:
            return
        if not self._can_spare(leader, machine):
            return
        if machine.process is not None:
            machine.kill()
        machine.wipe()
        self._out.add(machine.name)
        machine.start()  # a process that runs now is the bug; the invariants see what it does
        self._ask(leader, [MemberStep(MemberAction.REMOVE, machine.member_id)])

    def retire(self) -> None:
        """Turn off who was removed and cannot know: everybody it knew has gone as well."""
        members = {row.id for row in self._list()}
        for machine in self._cluster.machines:
            if machine.process is not None and machine.member_id not in members:
                self._out.add(machine.name)
                machine.kill()

    # --- inside -----------------------------------------------------------------------------

    def _added(
        self, new: Machine, action: MemberAction = MemberAction.ADD, replaces: int = 0
    ) -> MemberStep:
        self._next_id += 1
        urls = new.config.initial_advertise_peer_urls
        return MemberStep(action, self._next_id, urls, replaces)

    def _promote(self, new: Machine) -> None:
        rows = [row for row in self._list() if row.id == new.member_id]
        if rows and not rows[0].is_learner:
            return
        leader = self._cluster.leader()
        if rows and leader is not None and leader.process is not None:
            process = leader.process

            def ask() -> None:
                with suppress(RaftKVError):  # too early: the next look asks again
                    process.member.promote_member(new.member_id, lambda error: None)

            process.clock.enter(ask)
        self._cluster.scheduler.call_later(PROMOTE_AGAIN_S, partial(self._promote, new))

    def _change(self, at: Machine, steps: list[MemberStep], new: Machine) -> None:
        self._joining.add(new.name)
        self._out.add(new.name)  # until it is seen to be a member
        self._ask(at, steps)
        self._cluster.scheduler.call_later(LOOK_AGAIN_S, partial(self._let_join, new))

    def _ask(self, at: Machine, steps: list[MemberStep]) -> None:
        def ask() -> None:
            with suppress(RaftKVError):  # an operator asks for something else next
                process.member.change_members(steps, lambda error: None)

        process = at.running
        process.clock.enter(ask)

    def _let_join(self, new: Machine) -> None:
        """Look at the members' list until the new one is in it, then start it."""
        rows = self._list()
        if any(row.peer_urls == new.config.initial_advertise_peer_urls for row in rows):
            self._joining.discard(new.name)
            if self._cluster.let_join(new, rows):
                self._out.discard(new.name)
                return
            self._joining.add(new.name)
        self._cluster.scheduler.call_later(LOOK_AGAIN_S, partial(self._let_join, new))

    def _list(self) -> list[MemberInfo]:
        """Of whoever has applied most: without its new member a cluster may have no leader."""
        running = [process.member for process in self._cluster.running]
        newest = max(running, key=lambda member: member.applied_index, default=None)
        return [] if newest is None else newest.members()

    def _can_go(self, leader: Machine, machine: Machine) -> bool:
        """Whether a quorum of those that stay runs, and nobody is still on the way in."""
        rows = leader.running.member.members()
        if not all(row.has_started for row in rows):
            return False
        ids = {row.id for row in rows} - {machine.member_id}
        running = {m.member_id for m in self._cluster.machines if m.process is not None}
        return len(ids) >= 2 and len(ids & running) > len(ids) // 2

    def _has_no_machine(self) -> bool:
        return len(self._cluster.machines) >= MACHINES_MAX

    def _can_spare(self, leader: Machine, machine: Machine) -> bool:
        """Whether, without this disk, a quorum still holds everything that was decided."""
        last = leader.running.member.node.last_index
        rest = [m for m in self._cluster.machines if m is not machine and m.process is not None]
        full = [m for m in rest if m.running.member.node.last_index >= last]
        return len(full) > len(self._list()) // 2
