"""What a member tells about itself and its cluster.

Owns: the value MemberStatus, and hands on MemberInfo, which is a row that entries of the log write.
Must never do: reach into the parts it describes.
"""

from __future__ import annotations

from dataclasses import dataclass

from raftkv.apply.membership import MemberInfo as MemberInfo


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """This member's position. Sizes are bytes on disk, the quota is 0 when there is none,
    ``leader_id`` is 0 when none is known."""

    leader_id: int
    raft_term: int
    raft_index: int
    applied_index: int
    db_size: int
    db_size_in_use: int
    db_size_quota: int
    is_learner: bool
    errors: tuple[str, ...]
    downgrade_version: str = ""
    """The version that this member may be replaced by now, while a downgrade is under way."""
