"""How much useless work one connection may ask for: token buckets over time.

Owns: ``Bucket`` and ``FloodGuard`` (rapid resets CVE-2023-44487, PING, SETTINGS and empty-frame
floods CVE-2019-9512..9518). Must never do: read a clock; the caller passes ``now``.
"""

from __future__ import annotations

from raftkv.wire.frames import ConnectionFailure, ErrorCode
from raftkv.wire.limits import WireLimits


class Bucket:
    """``burst`` tokens at first, refilled at ``per_second``; ``take`` fails when none is left."""

    __slots__ = ("_at", "_burst", "_name", "_per_second", "_tokens")

    def __init__(self, name: str, burst: float, per_second: float) -> None:
        self._name = name
        self._burst = burst
        self._per_second = per_second
        self._tokens = burst
        self._at: float | None = None

    def take(self, now: float) -> None:
        """Raises ConnectionFailure(ENHANCE_YOUR_CALM) when the bucket is empty."""
        if self._at is not None:
            refilled = self._tokens + (now - self._at) * self._per_second
            self._tokens = min(self._burst, refilled)
        self._at = now
        if self._tokens < 1:
            raise ConnectionFailure(ErrorCode.ENHANCE_YOUR_CALM, f"too many {self._name}")
        self._tokens -= 1


class FloodGuard:
    """The buckets of one connection."""

    __slots__ = ("idle_frames", "pings", "resets", "settings")

    def __init__(self, limits: WireLimits) -> None:
        self.resets = Bucket("resets", limits.resets_burst, limits.resets_per_second)
        self.pings = Bucket("pings", limits.pings_burst, limits.pings_per_second)
        self.settings = Bucket("settings", limits.settings_burst, limits.settings_per_second)
        self.idle_frames = Bucket(
            "idle frames", limits.idle_frames_burst, limits.idle_frames_per_second
        )
