"""A kubelet, or many hollow ones, as a program runs them.

Owns: what each is made of, its HTTP server, and the order of the end. Must never do: end before the
containers have.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
from aiohttp import web

from apiserver_shim.components.api_client import ApiClient, Object
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.event_recorder import EventRecorder
from apiserver_shim.components.kubelet.addresses import HOST_IP, PodAddresses
from apiserver_shim.components.kubelet.back_off import BASE_S
from apiserver_shim.components.kubelet.callers import KubeletTls
from apiserver_shim.components.kubelet.images import Images
from apiserver_shim.components.kubelet.kubelet import Kubelet, PodSources
from apiserver_shim.components.kubelet.machine import Machine
from apiserver_shim.components.kubelet.node import NodePlan
from apiserver_shim.components.kubelet.server import KubeletServer
from apiserver_shim.components.process_groups import ProcessGroups

STOP_GRACE_S = 5.0
HOLLOW_RANGE = ipaddress.IPv4Network("127.128.0.0/9")
HOLLOW_PREFIX = 22
HOLLOW_MAX = 2 ** (HOLLOW_PREFIX - HOLLOW_RANGE.prefixlen)


@dataclass(frozen=True, slots=True)
class KubeletOptions:
    """As the command line gives them. ``hollow``: that many hollow nodes instead of a real one."""

    node: str
    directory: Path
    port: int
    pod_cidr: str = "127.64.0.0/24"
    sources: PodSources = field(default_factory=PodSources)
    images: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[Object, ...] = ()
    back_off_base_s: float = BASE_S
    takes_pods: bool = False
    hollow: int = 0
    tls: KubeletTls | None = None


async def run(client: ApiClient, options: KubeletOptions, clock: Clock | None = None) -> None:
    """Until cancelled."""
    clock = clock or Clock()
    if options.hollow:
        await _run_hollow(client, options, clock)
        return
    plan = NodePlan(options.node, options.pod_cidr, options.port, options.labels, options.taints)
    async with AsyncExitStack() as stack:
        machine = await stack.enter_async_context(_machine(client, options, clock))
        kubelet = Kubelet(machine, plan, options.sources)
        tls = options.tls
        server = KubeletServer(
            kubelet, clock, takes_pods=options.takes_pods, guarded=tls is not None
        )
        runner = web.AppRunner(server.app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        context = tls.context() if tls is not None else None
        await web.TCPSite(runner, HOST_IP, options.port, ssl_context=context).start()
        stack.push_async_callback(kubelet.stop, STOP_GRACE_S)
        await kubelet.run()


async def _run_hollow(client: ApiClient, options: KubeletOptions, clock: Clock) -> None:
    if options.hollow > HOLLOW_MAX:
        raise ValueError(f"{options.hollow} hollow nodes: the limit is {HOLLOW_MAX}")
    networks = HOLLOW_RANGE.subnets(new_prefix=HOLLOW_PREFIX)
    labels = {**options.labels, "raftkv.dev/hollow": "true"}
    async with _machine(client, options, clock) as machine, asyncio.TaskGroup() as tasks:
        for number in range(options.hollow):
            plan = NodePlan(
                f"{options.node}-{number}",
                str(next(networks)),
                labels=labels,
                taints=options.taints,
                cpus=32,
                memory_kib=64 * 1024 * 1024,
            )
            own = replace(machine, addresses=PodAddresses(plan.pod_cidr))
            tasks.create_task(Kubelet(own, plan, PodSources(), hollow=True).run())


@asynccontextmanager
async def _machine(
    client: ApiClient, options: KubeletOptions, clock: Clock
) -> AsyncIterator[Machine]:
    events = EventRecorder(client, "kubelet", clock)
    one_each = aiohttp.TCPConnector(force_close=True)  # a probe shall find out who listens now
    async with ProcessGroups() as groups, aiohttp.ClientSession(connector=one_each) as http:
        recording = asyncio.create_task(events.run())
        try:
            yield Machine(
                client,
                clock,
                groups,
                http,
                events,
                Images(options.images),
                PodAddresses(options.pod_cidr),
                options.directory.resolve(),
                options.back_off_base_s,
            )
        finally:
            recording.cancel()
