"""One watcher: what it wants, how far it has come, and where its events go.

Owns: WatchSpec, Watcher and the WatchSink protocol. Must never do: read history or choose when.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from raftkv.mvcc.query import Event
from raftkv.mvcc.watch_events import EventBatch

if TYPE_CHECKING:
    from raftkv.mvcc.cohort import Cohort


@dataclass(frozen=True, slots=True)
class WatchSpec:
    """``start_revision`` 0 means from now on; a future one is waited for in silence."""

    key: bytes
    range_end: bytes = b""
    start_revision: int = 0
    prev_kv: bool = False
    no_put: bool = False
    no_delete: bool = False

    @property
    def view(self) -> View:
        return View(self.prev_kv, self.no_put, self.no_delete)


class View(NamedTuple):
    """What of the events of its keys a watcher wants to see."""

    prev_kv: bool
    no_put: bool
    no_delete: bool

    def wants(self, event: Event) -> bool:
        """Whether the filters let ``event`` through; the key is matched elsewhere."""
        return not (self.no_delete if event.is_delete else self.no_put)


class WatchState(Enum):
    SYNCED = 0  # gets every revision as it is published
    CATCHING_UP = 1  # reads history in bounded steps
    PAUSED = 2  # its reader is slow: costs nothing until it is resumed
    ENDED = 3


class Watcher:
    """Everything below ``next_revision`` was delivered or is of no interest to it, and so is what
    is below its cohort's while it has one."""

    __slots__ = ("cohort", "next_revision", "sink", "spec", "state")

    def __init__(self, spec: WatchSpec, sink: WatchSink, next_revision: int) -> None:
        self.spec = spec
        self.sink = sink
        self.next_revision = next_revision
        self.state = WatchState.SYNCED
        self.cohort: Cohort | None = None


class WatchSink(Protocol):
    """Takes what watchers get. May pause or cancel watchers of the hub from within."""

    def deliver(self, cohort: Cohort, batch: EventBatch) -> None:
        """To each of the cohort's watchers."""

    def compacted(self, watcher: Watcher, compact_revision: int) -> None:
        """The watcher needs revisions that are gone; it has ended."""
