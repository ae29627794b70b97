"""One shim: its parts made and connected, its tasks run.

Owns: who is made of what, and what exists from the first start on (namespaces). Must never do:
answer requests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import SystemRandom

from apiserver_shim.admission.pod_identity import DEFAULT_ACCOUNT
from apiserver_shim.admission.quotas import ResourceQuotas
from apiserver_shim.admission.service_addresses import CLAIM_S, CLUSTER_RANGE, ServiceAddresses
from apiserver_shim.admission.steps import steps
from apiserver_shim.api.admission import Admission
from apiserver_shim.api.metadata import begin
from apiserver_shim.api.stored import encoded
from apiserver_shim.custom.follower import DefinitionFollower
from apiserver_shim.discovery.documents import Documents
from apiserver_shim.http.server import ApiServer
from apiserver_shim.parts import Parts
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.schemas.definitions import Definitions
from apiserver_shim.security.door import Door
from apiserver_shim.store.compactor import Compactor
from apiserver_shim.store.event_leases import EventLeases
from apiserver_shim.store.mirror import Mirror
from apiserver_shim.store.registry import Registry
from raftkv.client import Client

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


@dataclass(slots=True)
class Shim:
    """``run`` serves nothing by itself: ``server.app`` is for whoever listens."""

    parts: Parts
    server: ApiServer
    compactor: Compactor
    quotas: ResourceQuotas

    async def run(self) -> None:
        """Follow the store and compact it, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.parts.mirror.run())
            tasks.create_task(self.compactor.run())
            tasks.create_task(self.quotas.run())
            tasks.create_task(DefinitionFollower(self.parts).run())

    async def bootstrap(self) -> None:
        """What every client takes for granted. Whoever comes second finds it there."""
        namespaces = self.parts.catalogue.find("", "v1", "namespaces")
        assert namespaces is not None, "namespaces are not served"
        for name in NAMESPACES:
            obj = {
                "kind": "Namespace",
                "apiVersion": "v1",
                "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
            }
            begin(obj, namespaces, "", self.parts.now(), self.parts.random)
            await self.parts.registry.create(namespaces.key("", name), encoded(obj))
            await self._bootstrap_account(name)

    async def _bootstrap_account(self, namespace: str) -> None:
        """The account of pods that name none: no pod is admitted without it."""
        accounts = self.parts.catalogue.find("", "v1", "serviceaccounts")
        assert accounts is not None, "serviceaccounts are not served"
        obj = {
            "kind": "ServiceAccount",
            "apiVersion": "v1",
            "metadata": {"name": DEFAULT_ACCOUNT, "namespace": namespace},
        }
        begin(obj, accounts, namespace, self.parts.now(), self.parts.random)
        key = accounts.key(namespace, DEFAULT_ACCOUNT)
        await self.parts.registry.create(key, encoded(obj))


def make(
    endpoints: Sequence[str], door: Door, address: str, *, service_range: str = CLUSTER_RANGE
) -> tuple[Shim, Client]:
    """The caller closes the client. ``service_range``: of which services get their addresses."""
    client = Client(endpoints)
    registry = Registry(client)
    parts = Parts(
        registry=registry,
        mirror=Mirror(client, registry),
        catalogue=Catalogue(),
        definitions=Definitions(),
        admission=Admission(),
        event_leases=EventLeases(client, time.monotonic),
        now=lambda: datetime.now(UTC),
        monotonic=time.monotonic,
        random=SystemRandom(),
    )
    claims = EventLeases(client, time.monotonic, CLAIM_S)
    quotas = ResourceQuotas(parts)
    for step in steps(parts, ServiceAddresses(parts, claims, service_range), quotas):
        parts.admission.add(step)
    server = ApiServer(parts, Documents(parts, address), door)
    return Shim(parts, server, Compactor(client), quotas), client
