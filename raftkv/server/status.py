"""What a member tells about itself and its cluster.

Owns: the values MemberStatus and MemberInfo. Must never do: reach into the parts it describes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MemberInfo:
    """One row of the member list. ``name`` and ``client_urls`` are empty until it has started."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool = False


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """This member's position. Sizes are bytes on disk, ``leader_id`` is 0 when none is known."""

    leader_id: int
    raft_term: int
    raft_index: int
    applied_index: int
    db_size: int
    db_size_in_use: int
    is_learner: bool
    errors: tuple[str, ...]
