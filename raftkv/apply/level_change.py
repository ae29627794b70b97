"""CLUSTER_LEVEL: the entry from which on entries may mean more, or less.

Owns: the entry's effect. Must never do: judge whether the members are ready for it.
"""

from __future__ import annotations

from raftkv.apply.header import HeaderEncoder
from raftkv.apply.level import LevelChange
from raftkv.apply.state import State


def apply_cluster_level(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    """The reply is empty: members alone ask for this."""
    state.level.change(LevelChange.decode(payload), state.entry_index)
    return b""
