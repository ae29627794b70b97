"""What a verb answers, before it is given the form that the client asked for.

Owns: the three shapes of answers. Must never do: know content types; ``views`` do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from apiserver_shim.api.stored import StoredObject
from apiserver_shim.resources.resource import Resource

WatchEvent = tuple[str, StoredObject | dict[str, Any]]
"""ADDED, MODIFIED, DELETED, BOOKMARK or ERROR, and the object."""


@dataclass(frozen=True, slots=True)
class ObjectAnswer:
    """One object, or a Status. ``resource`` is None for what has no columns."""

    code: int
    object: StoredObject | dict[str, Any]
    resource: Resource | None = None
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """``remaining`` is None where it is not known."""

    resource: Resource
    revision: int
    items: Sequence[StoredObject]
    next_page: str = ""
    remaining: int | None = None


@dataclass(frozen=True, slots=True)
class WatchAnswer:
    resource: Resource
    events: AsyncIterator[WatchEvent]


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """What is no object: logs, health, metrics. ``stream`` instead of ``body`` where it goes on."""

    code: int
    body: bytes = b""
    content_type: str = "text/plain"
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None


Answer = ObjectAnswer | ListAnswer | WatchAnswer | TextAnswer
