"""How many requests are answered at once, and who is turned away.

Owns: the two counts, of requests that read and that write. Must never do: count what runs long
(watches, logs), or turn system:masters away: an operator gets through when all is full.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from apiserver_shim.api.status import ApiError
from apiserver_shim.api.user import MASTERS, User

READING_MAX, MUTATING_MAX = 400, 200
RETRY_AFTER_S = 1
_READING = ("GET", "HEAD", "OPTIONS")


def too_many() -> ApiError:
    text = "Too many requests, please try again later."
    return ApiError(429, "TooManyRequests", text, retry_after_s=RETRY_AFTER_S)


class InFlight:
    """A limit of 0 is none."""

    def __init__(self, reading_max: int = READING_MAX, mutating_max: int = MUTATING_MAX) -> None:
        self._limits = {"readOnly": reading_max, "mutating": mutating_max}
        self.counts = {"readOnly": 0, "mutating": 0}

    @contextmanager
    def taken(self, method: str, user: User) -> Iterator[None]:
        """One place, for as long as the request is answered. Raises 429."""
        kind = "readOnly" if method in _READING else "mutating"
        limit = self._limits[kind]
        if limit and self.counts[kind] >= limit and MASTERS not in user.groups:
            raise too_many()
        self.counts[kind] += 1
        try:
            yield
        finally:
            self.counts[kind] -= 1
