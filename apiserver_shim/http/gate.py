"""What every request goes through, whatever it asks: limits, time, counting, the end.

Owns: places in flight, the deadline, metrics, the audit line, and how open streams end when the
process does. Must never do: know objects, or put a deadline on what runs long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass

from aiohttp import web

from apiserver_shim.api.answer import Answer, WatchAnswer
from apiserver_shim.api.request import Target
from apiserver_shim.api.status import ApiError
from apiserver_shim.api.user import NOBODY, User
from apiserver_shim.http.access_stream import AccessStream
from apiserver_shim.http.audit import Audit, AuditEvent
from apiserver_shim.http.in_flight import InFlight
from apiserver_shim.http.metrics import Metrics, labels_of
from apiserver_shim.parts import Parts

log = logging.getLogger("apiserver_shim.http")

REQUEST_S_MAX = 60.0
_LONG_SUBRESOURCES = ("log", "exec", "attach", "portforward")


@dataclass(slots=True)
class Passing:
    """One request on its way. ``user`` and ``target`` are filled in as they become known."""

    http: web.Request
    began: float
    user: User = NOBODY
    target: Target | None = None

    @property
    def is_long_running(self) -> bool:
        target = self.target
        return target is not None and (
            target.verb == "watch" or target.subresource in _LONG_SUBRESOURCES
        )


class Gate:
    """Shared by all listeners of a shim. ``request_s_max``: 504 after that many seconds."""

    def __init__(
        self,
        parts: Parts,
        in_flight: InFlight | None = None,
        *,
        audit: Audit | None = None,
        request_s_max: float = REQUEST_S_MAX,
    ) -> None:
        self._parts = parts
        self._in_flight = in_flight or InFlight()
        self._audit = audit
        self._request_s_max = request_s_max
        self._streams: set[asyncio.Task[object]] = set()
        self._is_closed = False
        self.accesses = AccessStream(parts.now, parts.monotonic)
        self.metrics = Metrics(parts.mirror, parts.catalogue, self._in_flight)

    def passing(self, http: web.Request) -> Passing:
        return Passing(http, self._parts.monotonic())

    @asynccontextmanager
    async def bounded(self, passing: Passing) -> AsyncIterator[None]:
        """While it is answered. Raises 429 and 504."""
        if passing.is_long_running:
            with self.metrics.long_running(labels_of(passing.target, passing.http.method)):
                yield
            return
        with self._in_flight.taken(passing.http.method, passing.user):
            try:
                async with asyncio.timeout(self._request_s_max):
                    yield
            except TimeoutError:
                text = "Timeout: request did not complete within the allotted timeout"
                raise ApiError(504, "Timeout", text) from None

    def note(self, passing: Passing, answer: Answer | int) -> AbstractContextManager[None]:
        """For those who look on (AccessStream). The context lasts as long as the answer."""
        if passing.target is None:
            return nullcontext()
        agent = passing.http.headers.get("User-Agent", "")
        line = self.accesses.add(passing.began, passing.user, agent, passing.target, answer)
        return self.accesses.watching(line) if isinstance(answer, WatchAnswer) else nullcontext()

    def passed(self, passing: Passing, code: int) -> None:
        seconds = self._parts.monotonic() - passing.began
        labels = labels_of(passing.target, passing.http.method)
        self.metrics.count(labels, code, None if passing.is_long_running else seconds)
        if self._audit is not None:
            source = passing.http.remote or ""
            path = passing.http.path
            self._audit(
                AuditEvent(
                    passing.user,
                    passing.http.method,
                    path,
                    passing.target,
                    code,
                    seconds,
                    self._parts.now(),
                    source,
                )
            )

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """Around what may go on for ever: left early, without an error, when the gate closes."""
        task = asyncio.current_task()
        assert task is not None, "streams run in tasks"
        self._streams.add(task)
        if self._is_closed:
            task.cancel()
        try:
            yield
        except asyncio.CancelledError:
            if not self._is_closed or task.uncancel():
                raise
        finally:
            self._streams.discard(task)

    def close(self) -> None:
        """End all streams; requests that are being answered are the listener's to wait for."""
        self._is_closed = True
        streams = list(self._streams)
        for task in streams:
            task.cancel()
        log.info("ending: streams=%d", len(streams))
