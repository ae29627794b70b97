"""One call of one client, and one watch of one client, from begin to end.

Owns: the records that a history is made of. Times are seconds of one monotonic clock that all
clients of the run share; a client has one operation under way at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jepsen_like.history.request import Request
from jepsen_like.history.result import KeyValue, Outcome


@dataclass(frozen=True, slots=True)
class Operation:
    """``member`` is the name of the member that was asked. An ``Unknown`` outcome may take effect
    at any time from ``called_s`` on, also after ``returned_s``."""

    process: int
    member: str
    called_s: float
    returned_s: float
    request: Request
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Event:
    """``is_delete``: ``kv`` then has only its key and mod_revision."""

    is_delete: bool
    kv: KeyValue
    prev: KeyValue | None = None


@dataclass(frozen=True, slots=True)
class WatchResponse:
    """One response of the stream. Without events, not created and not canceled it is a progress
    notification: all events up to ``revision`` were delivered."""

    at_s: float
    revision: int
    events: tuple[Event, ...] = ()
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    fragment: bool = False


@dataclass(slots=True)
class Watch:
    """One watch on one stream. ``start_revision`` 0 is "from now on": the ``created`` response's
    header revision + 1. A client that resumes opens a new Watch."""

    process: int
    member: str
    key: str
    end: str = ""
    start_revision: int = 0
    prev_kv: bool = False
    opened_s: float = 0.0
    closed_s: float = 0.0
    responses: list[WatchResponse] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fault:
    """From when to when something was broken, and in words what."""

    name: str
    began_s: float
    ended_s: float
    what: str = ""


@dataclass(frozen=True, slots=True)
class MemberState:
    """What a member holds in the end, after healing: HashKV at ``revision``."""

    member: str
    revision: int
    compact_revision: int
    hash: int
