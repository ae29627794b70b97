"""Standing for election, voting, and counting votes.

Owns: campaigns (pre-vote, election, transfer) and the vote rule. Must never do: vote twice in a
term, or for a log behind ours. Paper 5.2 and 5.4.1; pre-vote is thesis 9.6, transfer 3.10.
"""

from __future__ import annotations

from enum import Enum

from raftkv.raft import follower, leader
from raftkv.raft.core import TRANSFER_CONTEXT, Core
from raftkv.raft.message import NO_NODE, Message, MessageType, Role
from raftkv.raft.quorum import VoteResult


class Campaign(Enum):
    PRE_VOTE = 0
    ELECTION = 1
    TRANSFER = 2


def tick(core: Core) -> None:
    """One tick of a node that does not lead."""
    core.election_elapsed += 1
    if core.is_promotable and core.election_elapsed >= core.election_deadline:
        core.election_elapsed = 0
        stand(core)


def stand(core: Core) -> None:
    """The election timeout fired, or the owner asked for a campaign."""
    if core.role is Role.LEADER or not core.is_promotable:
        return
    if core.log.has_conf_change(core.log.applied + 1, core.log.committed):
        return  # we might campaign under a configuration that is out of force already
    campaign(core, Campaign.PRE_VOTE if core.config.pre_vote else Campaign.ELECTION)


def campaign(core: Core, kind: Campaign) -> None:
    """Ask every voter. With ourselves alone as the quorum, that is won at once."""
    if kind is Campaign.PRE_VOTE:
        # The term stays: a node that cannot win must not disturb the others with a new one.
        core.role = Role.PRE_CANDIDATE
        core.votes = {}
        core.leader_id = NO_NODE
        core.draw_election_deadline()
        type_, term = MessageType.PRE_VOTE, core.term + 1
    else:
        core.reset(core.term + 1)
        core.role = Role.CANDIDATE
        core.vote = core.id
        type_, term = MessageType.VOTE, core.term
    for voter in sorted(core.membership.config.voters - {core.id}):
        core.send(
            type_,
            voter,
            term=term,
            index=core.log.last_index,
            log_term=core.log.last_term,
            context=TRANSFER_CONTEXT if kind is Campaign.TRANSFER else b"",
        )
    _count(core, core.id, granted=True)


def step_candidate(core: Core, message: Message) -> None:
    """A message to a candidate or pre-candidate, of its own term."""
    match message.type:
        case MessageType.APP | MessageType.HEARTBEAT | MessageType.SNAP:
            core.become_follower(message.term, message.sender)
            follower.step(core, message)
        case MessageType.VOTE_RESP if core.role is Role.CANDIDATE:
            _count(core, message.sender, granted=not message.reject)
        case MessageType.PRE_VOTE_RESP if core.role is Role.PRE_CANDIDATE:
            # A grant carries the term it was asked for, a refusal the voter's own.
            if message.reject or message.term == core.term + 1:
                _count(core, message.sender, granted=not message.reject)
        case _:
            pass


def answer_vote_request(core: Core, message: Message) -> None:
    """VOTE of our term, or PRE_VOTE: grant at most one candidate per term, with a log as good."""
    is_pre = message.type is MessageType.PRE_VOTE
    may_vote = (
        core.vote == message.sender
        or (core.vote == NO_NODE and core.leader_id == NO_NODE)
        or (is_pre and message.term > core.term)
    )
    granted = may_vote and core.log.is_up_to_date(message.index, message.log_term)
    if granted and not is_pre:
        core.election_elapsed = 0
        core.vote = message.sender
    core.send(
        MessageType.PRE_VOTE_RESP if is_pre else MessageType.VOTE_RESP,
        message.sender,
        term=message.term if granted else core.term,
        reject=not granted,
    )


def _count(core: Core, voter: int, *, granted: bool) -> None:
    if voter not in core.membership.config.voters:
        return
    core.votes.setdefault(voter, granted)
    result = core.membership.config.vote_result(core.votes)
    if result is VoteResult.LOST:
        core.become_follower(core.term, NO_NODE)
    elif result is VoteResult.WON and core.role is Role.PRE_CANDIDATE:
        campaign(core, Campaign.ELECTION)
    elif result is VoteResult.WON:
        leader.take_office(core)
