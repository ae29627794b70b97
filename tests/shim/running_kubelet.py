"""A real kubelet in this process: its pods are processes.

Owns: its options for tests, and looking at processes. Must never do: leave one behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from apiserver_shim.components.api_client import ApiClient, Object
from apiserver_shim.components.kubelet.running import KubeletOptions, run
from tests.e2e.member_process import reserve_ports
from tests.shim.control_plane import ControlPlane

NODE = "real-1"


class RunningKubelet:
    """``url`` is its HTTP server's."""

    def __init__(self, plane: ControlPlane, directory: Path, **options: Any) -> None:
        (port,) = reserve_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.http = ApiClient(self.url)
        self._client = ApiClient(plane.server, headers={"User-Agent": "kubelet/test"})
        options.setdefault("pod_cidr", "127.65.0.0/24")
        self._options = KubeletOptions(NODE, directory, port, **options)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[RunningKubelet]:
        async with self._client, self.http:
            task = asyncio.create_task(run(self._client, self._options))
            try:
                yield self
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


def pod(name: str, *containers: Object, **spec: Any) -> Object:
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "spec": {
            "nodeName": NODE,
            "terminationGracePeriodSeconds": 5,
            "containers": list(containers),
            **spec,
        },
    }


def shell(script: str, name: str = "c", **more: Any) -> Object:
    return {"name": name, "image": "shell", "command": ["/bin/sh", "-c", script], **more}


def pid_of(found: Object, at: int = 0) -> int:
    identity: str = found["status"]["containerStatuses"][at]["containerID"]
    return int(identity.removeprefix("process://"))


def is_alive(pid: int) -> bool:
    """A process that has ended and is not waited for yet counts as gone."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def children_in(group: int) -> list[int]:
    """The processes of a process group."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and is_alive(int(entry)):
            with contextlib.suppress(ProcessLookupError):  # it ended while we looked
                if os.getpgid(int(entry)) == group:
                    found.append(int(entry))
    return found
