"""How far a client that watches every key has seen.

Owns: that one question. Two kinds of responses answer it: events, up to their own revision, and a
progress notification, up to its header's; the header of a response with events does not (etcd
names the newest revision there while older events still wait).
"""

from __future__ import annotations

from jepsen_like.history.operation import Watch
from jepsen_like.workloads.session import OpenWatch

EVERY_KEY = "\0"
EVENTS_MAX = 10_000


def next_stretch(seen_revision: int, for_s: float) -> OpenWatch:
    """The watch that goes on after ``seen_revision``."""
    return OpenWatch(
        EVERY_KEY, EVERY_KEY, start_revision=seen_revision + 1, for_s=for_s, events_max=EVENTS_MAX
    )


def seen_after(watch: Watch, seen_revision: int) -> int:
    """Everything up to the result has been seen, or was compacted before it could be."""
    for response in watch.responses:
        if response.canceled:
            seen_revision = max(seen_revision, response.compact_revision - 1)
        elif response.events:
            seen_revision = max(seen_revision, response.events[-1].kv.mod_revision)
        elif not response.created:
            seen_revision = max(seen_revision, response.revision)
    return seen_revision
