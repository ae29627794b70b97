"""Pods that wait for a node: those to be tried now, and those that must wait for a change.

Owns: their order and their pauses. Must never do: forget one.
"""

from __future__ import annotations

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.work_queue import Name

BACKOFF_S_MIN, BACKOFF_S_MAX = 1.0, 10.0
WAIT_S_MAX = 60.0
"""A pod that no node can run is tried again after so long even if nothing changes."""


class Pending:
    """Times are the caller's monotonic seconds."""

    def __init__(self) -> None:
        self._active: set[Name] = set()
        self._order: dict[Name, tuple[int, str]] = {}
        self._backing_off: dict[Name, float] = {}
        self._waiting: dict[Name, float] = {}
        self._tries: dict[Name, int] = {}

    def add(self, pod: Object) -> None:
        """A new pod, or one that has changed: it is tried at once."""
        name = name_of(pod)
        self._backing_off.pop(name, None)
        self._waiting.pop(name, None)
        priority = int(pod.get("spec", {}).get("priority") or 0)
        created = str(pod["metadata"].get("creationTimestamp", ""))
        self._active.add(name)
        self._order[name] = (-priority, created)

    def discard(self, name: Name) -> None:
        self._active.discard(name)
        self._order.pop(name, None)
        self._backing_off.pop(name, None)
        self._waiting.pop(name, None)
        self._tries.pop(name, None)

    def failed(self, name: Name, now: float, *, until_change: bool) -> None:
        """``until_change``: no node can run it; otherwise the try itself went wrong."""
        tries = self._tries[name] = self._tries.get(name, 0) + 1
        if until_change:
            self._waiting[name] = now + WAIT_S_MAX
        else:
            self._backing_off[name] = now + backoff_s(tries)

    def something_changed(self, now: float) -> None:
        """What waited may fit now; those that failed often wait a little still."""
        for name in list(self._waiting):
            del self._waiting[name]
            tries = self._tries.get(name, 1)
            self._backing_off[name] = now + (backoff_s(tries - 1) if tries > 1 else 0.0)

    def next(self, now: float) -> Name | None:
        """The most important, then the oldest; None when none is due."""
        for waiting in (self._backing_off, self._waiting):
            for name in [name for name, at in waiting.items() if at <= now]:
                del waiting[name]
                self._active.add(name)
        if not self._active:
            return None
        name = min(self._active, key=lambda each: (*self._order.get(each, (0, "")), each))
        self._active.discard(name)
        return name

    @property
    def has_active(self) -> bool:
        return bool(self._active)

    def seconds_to_next(self, now: float) -> float:
        due = [*self._backing_off.values(), *self._waiting.values()]
        return max(min(due, default=now + WAIT_S_MAX) - now, 0.0)


def backoff_s(tries: int) -> float:
    return float(min(BACKOFF_S_MIN * 2 ** min(tries - 1, 10), BACKOFF_S_MAX))


def name_of(pod: Object) -> Name:
    metadata = pod["metadata"]
    return metadata["namespace"], metadata["name"]
