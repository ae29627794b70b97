"""What the HTTP side asks of a member.

Owns: the HealthSource protocol, which ``member_health`` fulfils. Must never do: grow what no path
asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class HealthSource(Protocol):
    """One member, as its probes see it."""

    async def alarms(self) -> Sequence[str]:
        """The alarms raised anywhere in the cluster: ``NOSPACE``, ``CORRUPT``."""

    def has_leader(self) -> bool: ...

    async def check_read(self, *, serializable: bool) -> str | None:
        """Read one key; what went wrong, or None."""

    def is_learner(self) -> bool: ...

    def cluster_version(self) -> str | None:
        """The version that all members agreed on, None before they did."""
