"""/healthz, /livez, /readyz: each check by name, as kubelets and kubectl read them.

Owns: the checks' text. Must never do: ask anything of a store that hangs for longer than a probe
waits. Alive: the loop turns. Ready: the copy is loaded, the store answers, nobody has asked the
shim to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from apiserver_shim.api.answer import TextAnswer
from apiserver_shim.api.request import ApiRequest
from apiserver_shim.api.status import no_such_path
from apiserver_shim.parts import Parts
from raftkv.errors import RaftKVError

STORE_S_MAX = 2.0
Check = Callable[[], Awaitable[bool]]


class Health:
    """``is_ending`` is set when the process is asked to stop, ``is_bootstrapped`` when what every
    cluster has is there."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.is_ending = False
        self.is_bootstrapped = False
        live: dict[str, Check] = {"ping": _yes, "etcd": self._store}
        self._checks: dict[str, dict[str, Check]] = {
            "livez": live,
            "readyz": {
                **live,
                "informer-sync": self._mirror,
                "poststarthook/bootstrap": self._bootstrapped,
                "shutdown": self._stays,
            },
        }
        self._checks["healthz"] = self._checks["readyz"]

    async def answer(self, request: ApiRequest) -> TextAnswer:
        name, _, only = request.path.strip("/").partition("/")
        checks = self._checks[name]
        left_out = set(request.query.get("exclude", "").split(","))
        if only:
            if only not in checks:
                raise no_such_path()
            checks = {only: checks[only]}
        lines, good = [], True
        for each, check in checks.items():
            if each in left_out:
                lines.append(f"[+]{each} excluded: ok")
                continue
            holds = await check()
            good = good and holds
            lines.append(f"[+]{each} ok" if holds else f"[-]{each} failed: reason withheld")
        if good and "verbose" not in request.query:
            return TextAnswer(200, b"ok")
        end = f"{name} check {'passed' if good else 'failed'}\n"
        return TextAnswer(200 if good else 500, "\n".join([*lines, end]).encode())

    async def _store(self) -> bool:
        try:
            async with asyncio.timeout(STORE_S_MAX):
                await self._parts.registry.revision()
        except (RaftKVError, TimeoutError):
            return False
        return True

    async def _mirror(self) -> bool:
        return self._parts.mirror.is_ready

    async def _bootstrapped(self) -> bool:
        return self.is_bootstrapped

    async def _stays(self) -> bool:
        return not self.is_ending


async def _yes() -> bool:
    return True
