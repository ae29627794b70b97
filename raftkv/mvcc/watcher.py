"""One watcher: what it wants, how far it has come, and where its events go.

Owns: WatchSpec, Watcher and the WatchSink protocol. Must never do: read history or choose when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from raftkv.mvcc.query import Event


@dataclass(frozen=True, slots=True)
class WatchSpec:
    """``start_revision`` 0 means from now on; a future one is waited for in silence."""

    key: bytes
    range_end: bytes = b""
    start_revision: int = 0
    prev_kv: bool = False
    no_put: bool = False
    no_delete: bool = False

    def wants(self, event: Event) -> bool:
        """Whether the filters let ``event`` through; the key is matched elsewhere."""
        return not (self.no_delete if event.is_delete else self.no_put)


class WatchState(Enum):
    SYNCED = 0  # gets every revision as it is published
    CATCHING_UP = 1  # reads history in bounded steps
    PAUSED = 2  # its reader is slow: costs nothing until it is resumed
    ENDED = 3


class Watcher:
    """Everything below ``next_revision`` was delivered or is of no interest to it. For a synced
    watcher that is at most the next revision to be published."""

    __slots__ = ("next_revision", "sink", "spec", "state")

    def __init__(self, spec: WatchSpec, sink: WatchSink, next_revision: int) -> None:
        self.spec = spec
        self.sink = sink
        self.next_revision = next_revision
        self.state = WatchState.SYNCED


class WatchSink(Protocol):
    """Takes what a watcher gets. May pause or cancel watchers of the hub from within."""

    def deliver(self, watcher: Watcher, revision: int, fields: Sequence[bytes]) -> None:
        """Encoded ``events`` fields of a WatchResponse, in order. ``revision`` is the one that
        the response's header names: no later event of the watcher is at or below it."""

    def compacted(self, watcher: Watcher, compact_revision: int) -> None:
        """The watcher needs revisions that are gone; it has ended."""
