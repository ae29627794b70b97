"""One shim: its parts made and connected, its tasks run.

Owns: who is made of what, and when the shim begins and ends. Must never do:
answer requests.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import SystemRandom

from apiserver_shim.admission.quotas import ResourceQuotas
from apiserver_shim.admission.service_addresses import CLAIM_S
from apiserver_shim.admission.steps import connect as connect_admission
from apiserver_shim.api.admission import Admission
from apiserver_shim.bootstrap.reconciling import ClusterFacts, bootstrap, withdraw
from apiserver_shim.custom.follower import DefinitionFollower
from apiserver_shim.discovery.documents import Documents
from apiserver_shim.discovery.health import Health
from apiserver_shim.http.audit import Audit
from apiserver_shim.http.gate import REQUEST_S_MAX, Gate
from apiserver_shim.http.in_flight import InFlight
from apiserver_shim.http.server import ApiServer
from apiserver_shim.kubelets import Kubelets
from apiserver_shim.parts import Parts
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.schemas.definitions import Definitions
from apiserver_shim.security.bundle import SecuritySettings, connect
from apiserver_shim.security.door import Door, GuardedDoor
from apiserver_shim.security.escalation import Escalation
from apiserver_shim.security.node_authorizer import restrict_nodes
from apiserver_shim.store.compactor import Compactor
from apiserver_shim.store.event_leases import EventLeases
from apiserver_shim.store.mirror import Mirror
from apiserver_shim.store.registry import Registry
from raftkv.client import Client, Tls
from raftkv.errors import RaftKVError

log = logging.getLogger("apiserver_shim")

WITHDRAW_S_MAX = 2.0


@dataclass(frozen=True, slots=True)
class ShimSettings:
    """``kubelet_tls``: the shim's own certificate for kubelets; without it plain HTTP."""

    facts: ClusterFacts = field(default_factory=ClusterFacts)
    security: SecuritySettings = field(default_factory=SecuritySettings)
    in_flight: InFlight = field(default_factory=InFlight)
    audit: Audit | None = None
    request_s_max: float = REQUEST_S_MAX
    kubelet_tls: ssl.SSLContext | None = None
    store_tls: Tls | None = None


@dataclass(slots=True)
class Shim:
    """``run`` serves nothing by itself: ``server.app`` is for whoever listens."""

    parts: Parts
    documents: Documents
    health: Health
    gate: Gate
    door: Door
    server: ApiServer
    compactor: Compactor
    facts: ClusterFacts
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
        await bootstrap(self.parts, self.facts)
        self.health.is_bootstrapped = True

    def server_behind(self, door: Door) -> ApiServer:
        """Another listener's, with a door of its own."""
        return ApiServer(self.parts, self.documents, door, self.gate)

    async def end(self) -> None:
        """Be no longer ready and end all streams. What is being answered goes on."""
        self.health.is_ending = True
        try:
            async with asyncio.timeout(WITHDRAW_S_MAX):
                await withdraw(self.parts, self.facts)
        except (RaftKVError, TimeoutError) as e:
            log.warning("the endpoints of default/kubernetes still name this shim: %r", e)
        self.gate.close()

    async def close(self) -> None:
        await self.parts.kubelets.close()


def make(
    endpoints: Sequence[str], door: Door | None, address: str, settings: ShimSettings | None = None
) -> tuple[Shim, Client]:
    """Without a ``door`` the one that the settings describe. The caller closes the client."""
    settings = settings or ShimSettings()
    client = Client(endpoints, tls=settings.store_tls)
    parts = _parts(client, settings)
    health = Health(parts)
    gate = Gate(
        parts, settings.in_flight, audit=settings.audit, request_s_max=settings.request_s_max
    )
    parts.registry.on_request = gate.metrics.observe_store
    documents = Documents(parts, address, health.answer, gate.metrics.answer)
    door = door or GuardedDoor(parts.security.authenticator, parts.security.authorizer)
    server = ApiServer(parts, documents, door, gate)
    quotas = _connect_admission(parts, client, settings)
    compactor = Compactor(client)
    shim = Shim(parts, documents, health, gate, door, server, compactor, settings.facts, quotas)
    return shim, client


def _connect_admission(parts: Parts, client: Client, settings: ShimSettings) -> ResourceQuotas:
    """What fills in comes before what judges the whole."""
    claims = EventLeases(client, time.monotonic, CLAIM_S)
    quotas = connect_admission(parts, claims, settings.facts.service_cidr)
    escalation = Escalation(parts.security.authorizer)
    for step in (escalation.check, escalation.check_create, restrict_nodes):
        parts.admission.add(step)
    return quotas


def _parts(client: Client, settings: ShimSettings) -> Parts:
    registry = Registry(client)
    mirror, catalogue = Mirror(client, registry), Catalogue()
    security = connect(settings.security, mirror, registry, catalogue, _now)
    return Parts(
        registry=registry,
        mirror=mirror,
        catalogue=catalogue,
        definitions=Definitions(),
        admission=Admission(),
        event_leases=EventLeases(client, time.monotonic),
        security=security,
        kubelets=Kubelets(settings.kubelet_tls),
        now=_now,
        monotonic=time.monotonic,
        random=SystemRandom(),
    )


def _now() -> datetime:
    return datetime.now(UTC)
