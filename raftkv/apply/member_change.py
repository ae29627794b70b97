"""Changes of who is a member, as they stand in the log beside Raft's own words for them.

Owns: MemberChange, the bytes in a CONF_CHANGE entry's context, and what it does to the rows. The
checks here are the ones that all members make alike when they apply it, whatever was checked
before it was proposed; etcd makes them in the same place (ValidateConfigurationChange). Must never
do: judge health, or know how Raft votes.

    origin: the member that was asked; number: unique over its lives; steps: what happens to whom;
    joins: which of the added learners get their vote by themselves, and whom each replaces then

Version 0.1.0 knows no ``joins`` and reads over it: to it, who joins is a learner. So it applies
such an entry as we do, but for the marks in the row, which nothing that is replicated looks at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from raftkv.apply.membership import (
    MemberInfo,
    check_urls_are_free,
    read_members,
    was_ever_member,
    write_member,
)
from raftkv.backend.environment import Backend
from raftkv.errors import Corrupt, MemberExists, MemberNotFound, MemberNotLearner, TooManyLearners


class MemberAction(Enum):
    """Values stand in every log."""

    ADD = "add"
    ADD_LEARNER = "add learner"
    JOIN = "join"
    """A learner that is promoted once it has caught up. In a log it is ADD_LEARNER, and a mark."""
    PROMOTE = "promote"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class MemberStep:
    """``peer_urls`` are those of a member that is added, ``replaces`` who goes when it votes."""

    action: MemberAction
    member_id: int
    peer_urls: tuple[str, ...] = ()
    replaces: int = 0


ADDITIONS = (MemberAction.ADD, MemberAction.ADD_LEARNER, MemberAction.JOIN)


@dataclass(frozen=True, slots=True)
class MemberChange:
    """Several steps are one change: all happen, or none."""

    origin: int
    number: int
    steps: tuple[MemberStep, ...]
    learners_max: int = 1

    def encode(self) -> bytes:
        joins = {s.member_id: s.replaces for s in self.steps if s.action is MemberAction.JOIN}
        steps = [[_logged(s.action).value, s.member_id, list(s.peer_urls)] for s in self.steps]
        fields: dict[str, object] = {
            "origin": self.origin,
            "number": self.number,
            "steps": steps,
            "learners_max": self.learners_max,
        }
        if joins:
            fields["joins"] = joins
        return json.dumps(fields).encode()

    @staticmethod
    def decode(data: bytes) -> MemberChange:
        """Raises Corrupt: such bytes stand in a log entry that passed its checksum."""
        try:
            fields = json.loads(data)
            joins = {int(joining): int(old) for joining, old in fields.get("joins", {}).items()}
            steps = tuple(
                _step(MemberAction(action), int(member_id), tuple(map(str, urls)), joins)
                for action, member_id, urls in fields["steps"]
            )
            return MemberChange(
                int(fields["origin"]), int(fields["number"]), steps, int(fields["learners_max"])
            )
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise Corrupt(f"a log entry holds an unreadable change of members: {e!r}") from e


def _logged(action: MemberAction) -> MemberAction:
    return MemberAction.ADD_LEARNER if action is MemberAction.JOIN else action


def _step(
    action: MemberAction, member_id: int, urls: tuple[str, ...], joins: Mapping[int, int]
) -> MemberStep:
    if action is MemberAction.ADD_LEARNER and member_id in joins:
        return MemberStep(MemberAction.JOIN, member_id, urls, joins[member_id])
    return MemberStep(action, member_id, urls)


def apply_member_change(backend: Backend, change: MemberChange) -> None:
    """Raises what etcd names, and then no row has changed. A change that Raft committed twice
    (it was forwarded again) is refused the second time: its ids exist, or are gone."""
    before = read_members(backend)
    rows = {row.id: row for row in before}
    for step in change.steps:
        _take(backend, rows, step)
    learners = sum(row.is_learner for row in rows.values())
    if learners > max(change.learners_max, sum(row.is_learner for row in before)):
        raise TooManyLearners(f"{learners} learners, the limit is {change.learners_max}")
    for row in before:
        if row.id not in rows:
            write_member(backend, row, removed=True)
    for row in rows.values():
        write_member(backend, row)


def check_member_steps(
    members: Sequence[MemberInfo], steps: Sequence[MemberStep], learners_max: int
) -> None:
    """What a request is refused for before it goes into the log, as far as rows tell. Who is to
    vote soon does not count among the learners."""
    rows = {row.id: row for row in members}
    for step in steps:
        if step.action in ADDITIONS:
            check_urls_are_free(rows.values(), step.peer_urls)
            learners = sum(row.is_learner and not row.is_joining for row in rows.values())
            if step.action is MemberAction.ADD_LEARNER and learners >= learners_max:
                raise TooManyLearners(f"{learners} learners, the limit is {learners_max}")
        elif step.member_id not in rows:
            raise MemberNotFound(f"{step.member_id:x} is no member")
        elif step.action is MemberAction.PROMOTE and not rows[step.member_id].is_learner:
            raise MemberNotLearner(f"{step.member_id:x} is no learner")
        else:
            del rows[step.member_id]


def _take(backend: Backend, rows: dict[int, MemberInfo], step: MemberStep) -> None:
    if step.action in ADDITIONS:
        if was_ever_member(backend, step.member_id):
            raise MemberExists(f"{step.member_id:x} is a member, or was one")
        check_urls_are_free(rows.values(), step.peer_urls)
        is_joining = step.action is MemberAction.JOIN
        is_learner = step.action is not MemberAction.ADD
        rows[step.member_id] = MemberInfo(
            step.member_id, "", step.peer_urls, (), is_learner, is_joining, step.replaces
        )
        return
    row = rows.get(step.member_id)
    if row is None:
        raise MemberNotFound(f"{step.member_id:x} is no member")
    if step.action is MemberAction.REMOVE:
        del rows[step.member_id]
    elif not row.is_learner:
        raise MemberNotLearner(f"{step.member_id:x} is no learner")
    else:
        rows[step.member_id] = replace(row, is_learner=False, is_joining=False, replaces=0)
