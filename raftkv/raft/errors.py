"""What the core tells a caller who asks for something that cannot be done now."""

from __future__ import annotations


class ProposalDropped(Exception):
    """The proposal was not taken: no leader is known, leadership is moving, or too much is
    uncommitted already. Nothing happened; it may be proposed again."""
