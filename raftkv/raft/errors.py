"""What the core tells a caller: of what cannot be done now, and of what cannot be true."""

from __future__ import annotations


class ProposalDropped(Exception):
    """The proposal was not taken: no leader is known, leadership is moving, or too much is
    uncommitted already. Nothing happened; it may be proposed again."""


class ImpossibleMessage(Exception):
    """A message that contradicts what is decided, so that no right member can have sent it. It
    changed nothing that is committed; whoever sent it is not to be listened to."""
