"""The kubelet's HTTP server: health, pods, logs, metrics, and, if allowed, pods from requests.

Owns: its paths. Must never do: listen beyond loopback. For one kubelet, or for many hollow ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
from aiohttp import web

from apiserver_shim.components.clocks import Clock, moment, stamp
from apiserver_shim.components.kubelet.callers import administrators_only
from apiserver_shim.components.kubelet.container import Container
from apiserver_shim.components.kubelet.container_log import LogOptions
from apiserver_shim.components.kubelet.kubelet import Kubelet
from apiserver_shim.components.kubelet.static_pods import (
    MANIFEST_BYTES_MAX,
    PUSHED,
    BadManifest,
    pods_of,
)


class KubeletServer:
    """``takes_pods``: POST /manifests starts pods: without ``guarded`` (see callers) whoever can
    reach the port may then run programs as us."""

    def __init__(
        self, kubelet: Kubelet, clock: Clock, *, takes_pods: bool = False, guarded: bool = False
    ) -> None:
        self._kubelet = kubelet
        self._clock = clock
        self.app = web.Application(
            client_max_size=MANIFEST_BYTES_MAX,
            middlewares=[administrators_only] if guarded else [],
        )
        self.app.add_routes(
            [
                web.get("/healthz", self._health),
                web.get("/pods", self._pods),
                web.get("/metrics", self._metrics),
                web.get("/containerLogs/{namespace}/{pod}/{container}", self._logs),
            ]
        )
        if takes_pods:
            self.app.add_routes(
                [
                    web.post("/manifests", self._take),
                    web.delete("/manifests/{namespace}/{pod}", self._withdraw),
                ]
            )

    async def _health(self, request: web.Request) -> web.Response:
        if not self._kubelet.is_synced:
            return web.Response(status=503, text="the pods have not been listed yet\n")
        return web.Response(text="ok")

    async def _pods(self, request: web.Request) -> web.Response:
        items = self._kubelet.pods()
        body = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}
        return _json(body)

    async def _metrics(self, request: web.Request) -> web.Response:
        statuses = [
            each
            for pod in self._kubelet.pods()
            for each in pod["status"].get("containerStatuses") or ()
        ]
        running = sum("running" in each["state"] for each in statuses)
        lines = [
            "# HELP kubelet_running_pods Number of pods that have a running pod sandbox",
            "# TYPE kubelet_running_pods gauge",
            f"kubelet_running_pods {len(self._kubelet.pods())}",
            "# HELP kubelet_running_containers Number of containers currently running",
            "# TYPE kubelet_running_containers gauge",
            f'kubelet_running_containers{{container_state="running"}} {running}',
            "# HELP kubelet_container_restarts Restarts of the containers that are here",
            "# TYPE kubelet_container_restarts gauge",
            f"kubelet_container_restarts {sum(each['restartCount'] for each in statuses)}",
        ]
        return web.Response(text="\n".join([*lines, ""]))

    async def _take(self, request: web.Request) -> web.Response:
        try:
            pods = pods_of(await request.read(), self._kubelet.plan.name, PUSHED)
            for pod in pods:
                self._kubelet.static.push(pod)
        except BadManifest as e:
            return web.Response(status=400, text=f"{e}\n")
        return _json({"pods": [pod["metadata"]["name"] for pod in pods]}, 201)

    async def _withdraw(self, request: web.Request) -> web.Response:
        where = request.match_info
        if not self._kubelet.static.withdraw(where["namespace"], where["pod"]):
            return web.Response(status=404, text="no such pod came by this endpoint\n")
        return _json({})

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        where, query = request.match_info, request.query
        namespace, pod, name = where["namespace"], where["pod"], where["container"]
        try:
            container = self._kubelet.container(namespace, pod, name)
            options = LogOptions(
                tail=int(query["tailLines"]) if "tailLines" in query else None,
                timestamps=query.get("timestamps", "") in ("1", "true"),
                follow=query.get("follow", "") in ("1", "true"),
                since=_since(query, self._clock.now()),
            )
            limit = int(query["limitBytes"]) if "limitBytes" in query else None
        except LookupError:
            return web.Response(status=404, text=f'pod "{pod}" not found')
        except ValueError as e:
            return web.Response(status=400, text=str(e))
        if container is None:
            text = f'container "{name}" in pod "{pod}" is not available'
            return web.Response(status=404, text=text)
        previous = query.get("previous", "") in ("1", "true")
        log = container.previous_log if previous else container.log
        if log is None:
            return web.Response(status=400, text=_no_log(container, pod, previous))
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        async for chunk in log.read(options):
            await response.write(chunk if limit is None else chunk[:limit])
            limit = None if limit is None else limit - len(chunk)
            if limit is not None and limit <= 0:
                break
        await response.write_eof()
        return response


def _since(query: Mapping[str, str], now: datetime) -> str:
    """Raises ValueError."""
    if "sinceSeconds" in query:
        return stamp(now - timedelta(seconds=int(query["sinceSeconds"])))
    if "sinceTime" in query:
        moment(query["sinceTime"])
    return query.get("sinceTime", "")


def _no_log(container: Container, pod: str, previous: bool) -> str:
    if previous:
        return f'previous terminated container "{container.name}" in pod "{pod}" not found'
    waiting = container.state.get("waiting", {}).get("reason", "ContainerCreating")
    return f'container "{container.name}" in pod "{pod}" is waiting to start: {waiting}'


def _json(body: Any, code: int = 200) -> web.Response:
    return web.Response(status=code, body=orjson.dumps(body), content_type="application/json")
