"""One client: it does what its session says, one operation at a time, at a given pace.

Owns: SessionLoop: which member is asked, and when. Must never do: repeat a request; what follows a
failure is the session's matter. A pinned client stays with its member and shows how that one sees
the world; another goes on to the next member when it gets no answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from random import Random

from jepsen_like.client.errors import is_unreachable
from jepsen_like.client.member_client import MemberClient
from jepsen_like.client.recorder import Recorder
from jepsen_like.client.watch_stream import watch
from jepsen_like.history.operation import Operation, Watch
from jepsen_like.history.result import Refused, Unknown
from jepsen_like.workloads.session import OpenWatch, Session

UNREACHABLE_WAIT_S = 0.1
"""A refused connection answers at once: without a pause a client would only knock."""


class SessionLoop:
    """``period_s`` lies between the begins of two operations, if the first is over by then."""

    def __init__(
        self,
        process: int,
        session: Session,
        clients: Mapping[str, MemberClient],
        recorder: Recorder,
        *,
        is_pinned: bool,
        period_s: float,
        random: Random,
    ) -> None:
        self._process = process
        self._session = session
        self._clients = clients
        self._names = list(clients)
        self._place = process % len(clients)
        self._recorder = recorder
        self._is_pinned = is_pinned
        self._period_s = period_s
        self._random = random

    @property
    def member(self) -> str:
        return self._names[self._place]

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Until ``is_over``; an operation that is under way then is brought to its end."""
        last: Operation | None = None
        due_s = self._recorder.now_s() + self._random.uniform(0, self._period_s)
        while True:
            await asyncio.sleep(max(0.0, due_s - self._recorder.now_s()))
            if is_over():
                return
            step = self._session.next(last)
            if isinstance(step, OpenWatch):
                last, wait_s = None, await self._watch(step)
            else:
                client = self._clients[self.member]
                last = await self._recorder.ask(self._process, self.member, client, step)
                wait_s = self._after(last)
            due_s = max(due_s + self._period_s, self._recorder.now_s() + wait_s)

    async def _watch(self, step: OpenWatch) -> float:
        """How long to wait before the next step."""
        client, now_s = self._clients[self.member], self._recorder.now_s
        seen: Watch = await watch(self._process, self.member, client, step, now_s)
        self._recorder.watch(seen)
        if seen.responses:
            return 0.0
        self._move_on()
        return UNREACHABLE_WAIT_S

    def _after(self, last: Operation) -> float:
        outcome = last.outcome
        if isinstance(outcome, Unknown):
            self._move_on()
        elif isinstance(outcome, Refused) and is_unreachable(outcome.code, outcome.text):
            self._move_on()
            return UNREACHABLE_WAIT_S
        return 0.0

    def _move_on(self) -> None:
        if not self._is_pinned:
            self._place = (self._place + 1) % len(self._names)
