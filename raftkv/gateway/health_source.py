"""What the HTTP side asks of a member.

Owns: the HealthSource protocol, which ``member_health`` fulfils. Must never do: grow what no path
asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Trouble:
    """``reason`` is for programs: a word of lower case and underscores that stays the same."""

    reason: str
    text: str


class HealthSource(Protocol):
    """One member, as its probes see it."""

    async def alarms(self) -> Sequence[str]:
        """The alarms raised anywhere in the cluster: ``NOSPACE``, ``CORRUPT``."""

    def has_leader(self) -> bool: ...

    async def check_read(self, *, serializable: bool) -> Trouble | None:
        """Read one key; what went wrong, or None."""

    def is_committing(self) -> bool:
        """Whether a read has to wait for the disk at this moment."""

    def disk_stall_s(self) -> float:
        """For how long the present write has kept the disk busy; 0 without one."""

    def is_learner(self) -> bool: ...

    def cluster_version(self) -> str | None:
        """The version that all members agreed on, None before they did."""
