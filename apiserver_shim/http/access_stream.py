"""Who asked for what: the last requests and the watches that are open, for those who look on.

Owns: /debug/requests. Must never do: hold up a request, keep bodies, or keep more than RECENT_MAX.
With ``?follow=1`` it goes on: first the open watches, then each request when it is answered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime

import orjson

from apiserver_shim.api.answer import Answer, ListAnswer, ObjectAnswer, TextAnswer
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.stored import StoredObject
from apiserver_shim.api.user import User

PATH = "/debug/requests"
RECENT_MAX = 1000
AGENT_CHARACTERS_MAX = 200
BACKLOG_MAX = 1000
"""Of one who looks on; who reads too slowly misses the oldest."""


@dataclass(frozen=True, slots=True)
class Access:
    """``revision``: what was written or read; 0 where there is none."""

    time: str
    user: str
    agent: str
    verb: str
    resource: str
    namespace: str
    name: str
    subresource: str
    code: int
    revision: int
    latency_ms: float


class AccessStream:
    """``now`` is the wall clock, ``monotonic`` counts seconds."""

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._now = now
        self._monotonic = monotonic
        self._recent: deque[bytes] = deque(maxlen=RECENT_MAX)
        self._watches: dict[int, bytes] = {}
        self._onlookers: set[asyncio.Queue[bytes]] = set()

    def document(self, request: ApiRequest) -> Callable[[ApiRequest], Awaitable[TextAnswer]] | None:
        """What answers the path, if it is ours. Guarded as any path that is no resource."""
        return self._answer if request.path == PATH else None

    def add(
        self, begun: float, user: User, agent: str, target: Target, answer: Answer | int
    ) -> bytes:
        """``answer``: the code alone, where it was refused."""
        access = Access(
            self._now().isoformat(timespec="milliseconds"),
            user.name,
            agent[:AGENT_CHARACTERS_MAX],
            target.verb,
            target.resource.qualified,
            target.namespace,
            target.name or _name_of(answer),
            target.subresource,
            answer if isinstance(answer, int) else getattr(answer, "code", 200),
            _revision_of(answer),
            round((self._monotonic() - begun) * 1000, 2),
        )
        line = orjson.dumps(asdict(access)) + b"\n"
        self._recent.append(line)
        for queue in self._onlookers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(line)
        return line

    @contextmanager
    def watching(self, line: bytes) -> Iterator[None]:
        """A watch is open."""
        self._watches[id(line)] = line
        try:
            yield
        finally:
            del self._watches[id(line)]

    async def _answer(self, request: ApiRequest) -> TextAnswer:
        lines = "application/x-ndjson"
        if request.flag("follow"):
            return TextAnswer(200, content_type=lines, stream=self._follow())
        return TextAnswer(200, b"".join(self._recent), lines)

    async def _follow(self) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes] = asyncio.Queue(BACKLOG_MAX)
        self._onlookers.add(queue)
        try:
            yield b"".join(self._watches.values()) or b"\n"
            while True:
                yield await queue.get()
        finally:
            self._onlookers.discard(queue)


def _revision_of(answer: Answer | int) -> int:
    if isinstance(answer, ListAnswer):
        return answer.revision
    if isinstance(answer, ObjectAnswer) and isinstance(answer.object, StoredObject):
        return answer.object.revision
    return 0


def _name_of(answer: Answer | int) -> str:
    """Of what was created."""
    if isinstance(answer, ObjectAnswer) and isinstance(answer.object, StoredObject):
        return answer.object.name
    return ""
