"""The settings of one node of the core.

Owns: Config, its checks, and the source of chance. Must never do: time in anything but ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from raftkv.raft.message import NO_NODE


class RandomSource(Protocol):
    """Where randomised election timeouts come from (paper, 5.2)."""

    def randrange(self, stop: int, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Config:
    """Election timeouts are drawn from [election_timeout_ticks, 2 x election_timeout_ticks)."""

    id: int
    election_timeout_ticks: int = 10
    heartbeat_timeout_ticks: int = 1
    inflight_messages_max: int = 256
    inflight_bytes_max: int = 256 << 20
    message_bytes_max: int = 1 << 20
    """A MsgApp carries entries up to this size, and at least one."""
    committed_bytes_max: int = 4 << 20
    """A Ready hands out committed entries up to this size, and at least one."""
    uncommitted_bytes_max: int = 256 << 20
    pending_reads_max: int = 1024
    pre_vote: bool = True
    check_quorum: bool = True

    def validate(self) -> None:
        """Raise ValueError that names the setting and the bound."""
        if self.id == NO_NODE:
            raise ValueError("id must not be 0, which means nobody")
        if self.heartbeat_timeout_ticks <= 0:
            raise ValueError(f"heartbeat_timeout_ticks is {self.heartbeat_timeout_ticks}, below 1")
        if self.election_timeout_ticks <= self.heartbeat_timeout_ticks:
            raise ValueError(
                f"election_timeout_ticks ({self.election_timeout_ticks}) must be above "
                f"heartbeat_timeout_ticks ({self.heartbeat_timeout_ticks})"
            )
        for name in ("inflight_messages_max", "message_bytes_max", "committed_bytes_max"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, below 1")
