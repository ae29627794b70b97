"""Times as objects carry them, and the clocks that are passed in.

Owns: the formats, and Clock. Must never do: read the time but in Clock's defaults.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """``now``: wall clock in UTC; ``monotonic``: seconds; ``pause``: waits so many of them."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    def stamp(self) -> str:
        return stamp(self.now())

    def micro_stamp(self) -> str:
        return self.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def seconds_since(self, text: str) -> float:
        return (self.now() - moment(text)).total_seconds()


def stamp(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    """Of a stamp, with or without a fraction."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
