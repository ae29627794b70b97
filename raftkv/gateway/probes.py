"""/livez and /readyz: what an orchestrator asks before it restarts a member, or sends it traffic.

Owns: the checks of each, their subpaths, and the texts. Must never do: fail a live member for what
a restart does not mend: having no leader makes it unready, not dead. As etcd 3.5.11 and later
have them; a full quota fails neither.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from raftkv.gateway.health_source import HealthSource
from raftkv.wire.service import HttpResponse

CORRUPT = "CORRUPT"
Check = Callable[[], Awaitable[str | None]]


class Probes:
    """A check returns what is wrong, or None."""

    def __init__(self, source: HealthSource) -> None:
        self._source = source
        self._checks: dict[str, dict[str, Check]] = {
            "/livez": {"serializable_read": self._serializable_read},
            "/readyz": {
                "data_corruption": self._data_corruption,
                "serializable_read": self._serializable_read,
                "linearizable_read": self._linearizable_read,
                "non_learner": self._non_learner,
            },
        }

    def has(self, path: str) -> bool:
        return self._chosen(path) is not None

    async def answer(self, path: str, *, verbose: bool) -> HttpResponse:
        """For a path that it ``has``."""
        checks = self._chosen(path)
        assert checks is not None, path
        lines, failed = [], False
        for name, check in checks.items():
            wrong = await check()
            failed = failed or wrong is not None
            lines.append(f"[+]{name} ok" if wrong is None else f"[-]{name} failed: {wrong}")
        if failed:
            return HttpResponse(503, ("\n".join(lines) + "\n").encode())
        if verbose:
            return HttpResponse(200, ("\n".join((*lines, "ok")) + "\n").encode())
        return HttpResponse(200, b"ok\n")

    def _chosen(self, path: str) -> dict[str, Check] | None:
        """All checks of /readyz, or the one of /readyz/<check>."""
        if path in self._checks:
            return self._checks[path]
        probe, _, name = path.rpartition("/")
        check = self._checks.get(probe, {}).get(name)
        return None if check is None else {name: check}

    async def _serializable_read(self) -> str | None:
        return await self._source.check_read(serializable=True)

    async def _linearizable_read(self) -> str | None:
        return await self._source.check_read(serializable=False)

    async def _data_corruption(self) -> str | None:
        alarms = await self._source.alarms()
        return "alarm activated: CORRUPT" if CORRUPT in alarms else None

    async def _non_learner(self) -> str | None:
        return "not supported for learner" if self._source.is_learner() else None
