"""Which keys a range holds, by etcd's rules for range_end.

Owns: that arithmetic, for text keys. Must never do: know a store.
"""

from __future__ import annotations

ALL_FROM_KEY = "\0"


def covers(key: str, end: str, candidate: str) -> bool:
    """``end`` "" is the one key; "\\0" is every key from ``key`` on; else ``end`` is left out."""
    if not end:
        return candidate == key
    return key <= candidate and (end == ALL_FROM_KEY or candidate < end)


def prefix_end(prefix: str) -> str:
    """The first key after all that begin with ``prefix``."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
