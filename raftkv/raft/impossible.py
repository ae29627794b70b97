"""What no right member can have said, given what this one knows.

Owns: the refusals that need no more than a glance at a message's term and sender; RawNode.step asks
before anything is changed. Entries at or below the commit index are never looked at (follower.py).
"""

from __future__ import annotations

from raftkv.raft.core import Core
from raftkv.raft.errors import ImpossibleMessage
from raftkv.raft.message import Message, MessageType

# A member that lags by more elections than this is none: at one a second they take 136 years.
TERM_LEAP_MAX = 1 << 32
_FROM_LEADER = (MessageType.APP, MessageType.HEARTBEAT, MessageType.SNAP)


def check_possible(core: Core, message: Message) -> None:
    """Raises ImpossibleMessage."""
    if message.term - core.term > TERM_LEAP_MAX:
        raise ImpossibleMessage(f"term {message.term}, while ours is {core.term}")
    if message.type in _FROM_LEADER and message.term >= core.term and _is_alone(core):
        if message.term == core.term and message.sender == core.leader_id:
            return  # who led the change that left us alone, and has not applied it yet
        raise ImpossibleMessage(
            f"{message.sender:x} leads term {message.term}, but {core.id:x} is the only voter"
        )


def _is_alone(core: Core) -> bool:
    """Whether this node is the only voter: nobody is elected without it then, nor does the cluster
    grow but through its log."""
    config = core.membership.config
    return (
        len(config.incoming) == 1
        and core.id in config.incoming
        and not config.outgoing
        and not core.log.has_conf_change(core.log.applied + 1, core.log.last_index)
    )
