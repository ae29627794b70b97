"""What a controller has still to look at: each name once, failures later.

Owns: the queue, its pauses after failures, and the loop that serves it. Must never do: let one
object that cannot be brought right hold up the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from apiserver_shim.components.api_client import UNREACHABLE, ApiFailure

log = logging.getLogger("apiserver_shim.controllers")

AGAIN_S_MIN, AGAIN_S_MAX = 0.05, 30.0

Name = tuple[str, str]
"""Namespace and name."""


class WorkQueue:
    """``reconcile`` brings one object right, from whatever state; it is called again for what
    changed meanwhile."""

    def __init__(self, title: str, reconcile: Callable[[str, str], Awaitable[None]]) -> None:
        self._title = title
        self._reconcile = reconcile
        self._waiting: dict[Name, None] = {}
        self._failures: dict[Name, int] = {}
        self._timers: dict[Name, asyncio.TimerHandle] = {}
        self._woken = asyncio.Event()

    def add(self, namespace: str, name: str) -> None:
        self._waiting[(namespace, name)] = None
        self._woken.set()

    def add_later(self, namespace: str, name: str, seconds: float) -> None:
        """One timer per name: who is looked at earlier says anew when to look again."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get((namespace, name))
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[(namespace, name)] = loop.call_later(seconds, self._due, namespace, name)

    def _due(self, namespace: str, name: str) -> None:
        del self._timers[(namespace, name)]
        self.add(namespace, name)

    async def run(self) -> None:
        while True:
            while not self._waiting:
                self._woken.clear()
                await self._woken.wait()
            name = next(iter(self._waiting))
            del self._waiting[name]
            await self._one(name)

    async def _one(self, name: Name) -> None:
        try:
            await self._reconcile(*name)
        except (ApiFailure, *UNREACHABLE) as e:
            conflict = isinstance(e, ApiFailure) and e.code == 409
            level = logging.DEBUG if conflict else logging.WARNING
            log.log(level, "%s %s/%s: %s", self._title, *name, e or type(e).__name__)
            self._again(name)
        except Exception:  # a defect of ours, or an object that nobody foresaw: told in full
            log.exception("%s %s/%s", self._title, *name)
            self._again(name)
        else:
            self._failures.pop(name, None)

    def _again(self, name: Name) -> None:
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        self.add_later(*name, min(AGAIN_S_MIN * 2 ** min(failures - 1, 20), AGAIN_S_MAX))
