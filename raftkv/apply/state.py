"""What a request is applied to.

Owns: the State that all handlers of this package share, and their signature.
Must never do: hold anything that differs between members that have applied the same entries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from raftkv.apply.alarm_book import AlarmBook
from raftkv.apply.header import HeaderEncoder
from raftkv.apply.level import ClusterLevel
from raftkv.auth.book import AuthBook
from raftkv.backend.environment import Backend
from raftkv.errors import MalformedRequest
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.store import Store

MessageT = TypeVar("MessageT", bound=Message)


@dataclass(slots=True)
class State:
    """``entry_term`` and ``entry_index`` are those of the entry that is being applied."""

    store: Store
    backend: Backend
    leases: LeaseBook
    alarms: AlarmBook
    auth: AuthBook
    level: ClusterLevel
    entry_term: int = 0
    entry_index: int = 0
    begin_digest: Callable[[], None] = lambda: None


Handler = Callable[[State, bytes, HeaderEncoder | None], bytes]
"""Applies one payload and returns the encoded reply. Without a header nobody waits for a reply,
and building one would be waste: the return value is then meaningless. A RaftKVError raised means
that nothing was changed: every check comes before the first write."""


def parse(kind: type[MessageT], payload: bytes) -> MessageT:
    """Raises MalformedRequest with protobuf's own words."""
    try:
        return kind.FromString(payload)
    except DecodeError as e:
        raise MalformedRequest(str(e)) from None
