"""CLUSTER_LEVEL: the entry from which on entries may mean more, or less.

Owns: the entry's effect. Must never do: judge whether the members are ready for it.
"""

from __future__ import annotations

from raftkv.apply.header import HeaderEncoder
from raftkv.apply.level import LevelChange
from raftkv.apply.membership import read_members
from raftkv.apply.state import State


def apply_cluster_level(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    """The reply is empty: members alone ask for this."""
    change = LevelChange.decode(payload)
    members = [row.id for row in read_members(state.backend)] if change.held else []
    state.level.change(change, state.entry_index, members)
    return b""
