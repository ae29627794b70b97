"""All controllers in one process, of which one leads in a cluster.

Owns: which controllers there are. Must never do: let one begin before all copies are filled, or let
two processes control at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from apiserver_shim.components.api_client import ApiClient
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.controllers.daemon_sets import DaemonSetController
from apiserver_shim.components.controllers.deployments.controller import DeploymentController
from apiserver_shim.components.controllers.disruption import DisruptionController
from apiserver_shim.components.controllers.endpoint_slices import EndpointSliceController
from apiserver_shim.components.controllers.endpoints import EndpointsController
from apiserver_shim.components.controllers.garbage.collector import GarbageCollector
from apiserver_shim.components.controllers.jobs.controller import JobController
from apiserver_shim.components.controllers.jobs.cron import CronJobController
from apiserver_shim.components.controllers.namespaces import NamespaceController
from apiserver_shim.components.controllers.nodes import NodeController
from apiserver_shim.components.controllers.pod_garbage import PodGarbageController
from apiserver_shim.components.controllers.replica_sets import (
    REPLICATION_CONTROLLER,
    ReplicaSetController,
)
from apiserver_shim.components.controllers.service_accounts import ServiceAccountController
from apiserver_shim.components.controllers.stateful_sets import StatefulSetController
from apiserver_shim.components.controllers.surroundings import Controller, Surroundings
from apiserver_shim.components.leader import LeaderElector, LeaseTimes
from apiserver_shim.components.shared_informers import SharedInformers

LEASE = "kube-controller-manager"
ROSTER: tuple[Callable[[Surroundings], Controller], ...] = (
    CronJobController,
    DaemonSetController,
    DeploymentController,
    DisruptionController,
    EndpointsController,
    EndpointSliceController,
    JobController,
    NamespaceController,
    NodeController,
    PodGarbageController,
    ReplicaSetController,
    lambda around: ReplicaSetController(around, REPLICATION_CONTROLLER),
    ServiceAccountController,
    StatefulSetController,
)


async def control(client: ApiClient, clock: Clock) -> None:
    """Run them all, without asking who leads, until cancelled."""
    informers = SharedInformers(client, clock)
    around = Surroundings(client, informers, clock)
    controllers = [make(around) for make in ROSTER]
    collector = GarbageCollector(client, clock)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(informers.run())
        await informers.synced()
        tasks_of = [each.tasks() for each in controllers]
        for each in (*tasks_of, collector.tasks()):
            for task in each:
                tasks.create_task(_run(task))


async def run(
    client: ApiClient,
    identity: str,
    *,
    clock: Clock | None = None,
    leases: LeaseTimes | None = None,
) -> None:
    """Control whenever ``identity`` leads, until cancelled."""
    clock = clock or Clock()
    elector = LeaderElector(client, LEASE, identity, clock=clock, times=leases)
    await elector.lead(lambda: control(client, clock))


async def _run(task: Callable[[], Awaitable[None]]) -> None:
    await task()
