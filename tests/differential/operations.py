"""What a differential test plays: one operation after the other, as values that print as Python.

Owns: the kinds of operations, and the numbers that are known only at play: revisions relative to
the example's base, and the ids that a server chose. Must never do: talk to a store.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LEASE_ID_FIRST = 7000
"""Lease number n of an example, chosen by the client, has the id LEASE_ID_FIRST + n."""

Fields = dict[str, Any]


@dataclass(frozen=True)
class Rev:
    """A revision: the example's base plus ``offset``. The base itself is compacted exactly."""

    offset: int


@dataclass(frozen=True)
class ChosenLease:
    """The id that the server chose for the example's ``number``th grant without one."""

    number: int


@dataclass(frozen=True)
class Unary:
    """A call of ``method`` ("KV/Put") at member ``member`` (modulo the store's size).

    ``caller`` is the user whose newest login's token goes with it, "old NAME" that of the login
    before; any other text goes as it is, "" for none."""

    method: str
    fields: Fields = field(default_factory=dict)
    member: int = 0
    caller: str = ""


@dataclass(frozen=True)
class Bytes:
    """The same, with a payload that need not be a message."""

    method: str
    payload: bytes
    member: int = 0


@dataclass(frozen=True)
class KeepAlive:
    """A keep-alive stream of its own, with one request each for ``leases``."""

    leases: tuple[Any, ...]
    member: int = 0
    caller: str = ""


@dataclass(frozen=True)
class WatchOnce:
    """A stream of its own, for the answer to one create. A watcher that was made gets one event:
    of a put, by whoever may, of the first key that it watches."""

    fields: Fields = field(default_factory=dict)
    member: int = 0
    caller: str = ""


@dataclass(frozen=True)
class WatchCreate:
    """On the example's one Watch stream."""

    fields: Fields = field(default_factory=dict)


@dataclass(frozen=True)
class WatchCancel:
    watch_id: int


@dataclass(frozen=True)
class WatchProgress:
    pass


Operation = Unary | Bytes | KeepAlive | WatchOnce | WatchCreate | WatchCancel | WatchProgress


def is_auth(method: str) -> bool:
    return method.startswith("Auth/")


def resolve(value: Any, base: int, chosen: list[int]) -> Any:
    """``value`` with its symbols replaced by numbers."""
    if isinstance(value, Rev):
        return base + value.offset
    if isinstance(value, ChosenLease):
        return chosen[value.number % len(chosen)] if chosen else LEASE_ID_FIRST - 1
    if isinstance(value, dict):
        return {name: resolve(each, base, chosen) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(each, base, chosen) for each in value]
    return value


def script(operations: list[Operation], members: int) -> str:
    """A program that plays ``operations`` again and prints what differs."""
    kinds = sorted(kind.__name__ for kind in (Rev, ChosenLease, *Operation.__args__))
    lines = [
        f"from tests.differential.operations import {', '.join(kinds)}",
        "from tests.differential.replay import replay",
        "",
        f"replay(members={members}, operations=[",
        *[f"    {operation!r}," for operation in operations],
        "])",
    ]
    return "\n".join(lines)
