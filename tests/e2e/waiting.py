"""Waiting for a condition of another process, with a deadline and an error that names it.

Owns: the only pause in the tests. Must never do: wait for time to pass instead of for something.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.03


class TimedOut(AssertionError):
    """The condition did not hold before its deadline."""


def wait_until(condition: Callable[[], T | None], what: str, *, seconds: float = 30.0) -> T:
    """The first truthy result of ``condition``; TimedOut names ``what`` otherwise."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= deadline:
            raise TimedOut(f"after {seconds:g} s still not: {what} (last result: {result!r})")
        pause.wait(POLL_SECONDS)
