"""/livez and /readyz: what an orchestrator asks before it restarts a member, or sends it traffic.

Owns: the checks of each, their subpaths, and the texts. Must never do: fail a live member for what
a restart does not mend. /livez is about this process and its disk alone: without a leader, a quorum
or room a member is alive, and a restart would only take its share of the cluster away as well.
Paths and texts are those of etcd 3.5.11 and later; the check ``disk`` and ?format=json are ours.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from raftkv.gateway.health_source import HealthSource, Trouble
from raftkv.wire.service import HttpResponse

CORRUPT = "CORRUPT"
DISK_STALL_MAX_S = 60.0
"""A write that the disk has not finished for so long never will: then a restart, elsewhere maybe,
is worth a try. A slow disk is far below it, and makes a leader hand over long before."""
NOT_MENDED = frozenset({"quarantined", "damaged"})
"""A member whose data is wrong is being given a peer's: a restart would begin that anew."""
Check = Callable[[], Awaitable[Trouble | None]]


class Probes:
    """A check returns what is wrong, or None."""

    def __init__(self, source: HealthSource) -> None:
        self._source = source
        self._checks: dict[str, dict[str, Check]] = {
            "/livez": {"serializable_read": self._local_read, "disk": self._disk},
            "/readyz": {
                "data_corruption": self._data_corruption,
                "serializable_read": self._serializable_read,
                "linearizable_read": self._linearizable_read,
                "non_learner": self._non_learner,
            },
        }

    def has(self, path: str) -> bool:
        return self._chosen(path) is not None

    async def answer(
        self, path: str, *, verbose: bool = False, as_json: bool = False
    ) -> HttpResponse:
        """For a path that it ``has``: 200 or 503."""
        checks = self._chosen(path)
        assert checks is not None, path
        found = {name: await check() for name, check in checks.items()}
        status = 503 if any(trouble is not None for trouble in found.values()) else 200
        if as_json:
            return HttpResponse(status, _as_json(path, found), "application/json")
        lines = [
            f"[+]{name} ok" if trouble is None else f"[-]{name} failed: {trouble.text}"
            for name, trouble in found.items()
        ]
        if status != 200:
            return HttpResponse(status, ("\n".join(lines) + "\n").encode())
        if verbose:
            return HttpResponse(status, ("\n".join((*lines, "ok")) + "\n").encode())
        return HttpResponse(status, b"ok\n")

    def _chosen(self, path: str) -> dict[str, Check] | None:
        """All checks of /readyz, or the one of /readyz/<check>."""
        if path in self._checks:
            return self._checks[path]
        probe, _, name = path.rpartition("/")
        check = self._checks.get(probe, {}).get(name)
        return None if check is None else {name: check}

    async def _local_read(self) -> Trouble | None:
        """While the disk has the database there is nothing to read, and nothing wrong: how long it
        may take is the other check's matter."""
        if self._source.is_committing():
            return None
        trouble = await self._serializable_read()
        return None if trouble is not None and trouble.reason in NOT_MENDED else trouble

    async def _disk(self) -> Trouble | None:
        stall_s = self._source.disk_stall_s()
        if stall_s <= DISK_STALL_MAX_S:
            return None
        return Trouble("disk_stalled", f"the disk has not finished a write for {stall_s:.0f} s")

    async def _serializable_read(self) -> Trouble | None:
        return await self._source.check_read(serializable=True)

    async def _linearizable_read(self) -> Trouble | None:
        """Without a leader the answer is known at once."""
        if not self._source.has_leader():
            return Trouble("no_leader", "etcdserver: no leader")
        return await self._source.check_read(serializable=False)

    async def _data_corruption(self) -> Trouble | None:
        if CORRUPT not in await self._source.alarms():
            return None
        return Trouble("alarm_corrupt", "alarm activated: CORRUPT")

    async def _non_learner(self) -> Trouble | None:
        if not self._source.is_learner():
            return None
        return Trouble("learner", "not supported for learner")


def _as_json(path: str, found: dict[str, Trouble | None]) -> bytes:
    checks = [
        {"name": name, "ok": True}
        if trouble is None
        else {"name": name, "ok": False, "reason": trouble.reason, "text": trouble.text}
        for name, trouble in found.items()
    ]
    ok = all(trouble is None for trouble in found.values())
    return json.dumps({"probe": path, "ok": ok, "checks": checks}).encode() + b"\n"
