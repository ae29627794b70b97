"""The proxy: for every port of every Service a listener on loopback.

Owns: which listeners there are, and which backends each has. Must never do: make up addresses: what
has no clusterIP on loopback is not served there, and is told of.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from apiserver_shim.components.api_client import ApiClient, Object
from apiserver_shim.components.informer import Informer
from apiserver_shim.components.kinds import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from apiserver_shim.components.proxy.backends import RoundRobin, backends_of
from apiserver_shim.components.proxy.tcp_forwarder import TcpForwarder
from apiserver_shim.components.proxy.udp_forwarder import UdpForwarder
from apiserver_shim.components.work_queue import WorkQueue

log = logging.getLogger("apiserver_shim.proxy")

NODE_ADDRESS = "127.0.0.1"
AFFINITY_S = 10_800.0
SERVICE_LABEL = "kubernetes.io/service-name"
AGAIN_S = 5.0

Forwarder = TcpForwarder | UdpForwarder


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket: where it is bound, and for which port of the service."""

    protocol: str
    address: str
    port: int
    name: str


class Proxy:
    """``run`` until cancelled."""

    def __init__(self, client: ApiClient, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._services = Informer(client, SERVICES)
        self._slices = Informer(client, ENDPOINT_SLICES)
        self._endpoints = Informer(client, ENDPOINTS)
        self._queue = WorkQueue("service", self._sync)
        self._open: dict[tuple[str, str], dict[Listener, Forwarder]] = {}
        self._services.listen(self._noticed)
        self._endpoints.listen(self._noticed)
        self._slices.listen(self._noticed_slice)

    async def run(self) -> None:
        informers = (self._services, self._slices, self._endpoints)
        try:
            async with asyncio.TaskGroup() as tasks:
                for informer in informers:
                    tasks.create_task(informer.run())
                for informer in informers:
                    await informer.synced.wait()
                log.info("serving %d services", len(list(self._services)))
                tasks.create_task(self._queue.run())
        finally:
            for opened in self._open.values():
                for forwarder in opened.values():
                    await forwarder.close()

    def _noticed(self, old: Object | None, new: Object | None) -> None:
        metadata = (new or old or {})["metadata"]
        self._queue.add(metadata["namespace"], metadata["name"])

    def _noticed_slice(self, old: Object | None, new: Object | None) -> None:
        metadata = (new or old or {})["metadata"]
        service = (metadata.get("labels") or {}).get(SERVICE_LABEL)
        if service:
            self._queue.add(metadata["namespace"], service)

    async def _sync(self, namespace: str, name: str) -> None:
        service = self._services.get(namespace, name)
        wanted = dict(listeners_of(service)) if service is not None else {}
        opened = self._open.setdefault((namespace, name), {})
        for listener in opened.keys() - wanted.keys():
            await opened.pop(listener).close()
        affinity_s = _affinity_s(service or {})
        slices = [
            each
            for each in self._slices.of(namespace)
            if (each["metadata"].get("labels") or {}).get(SERVICE_LABEL) == name
        ]
        for listener, port in wanted.items():
            if listener not in opened:
                forwarder = await self._listen(namespace, name, listener)
                if forwarder is None:
                    continue
                opened[listener] = forwarder
            found = backends_of(slices, self._endpoints.get(namespace, name), port)
            opened[listener].backends.set(found, affinity_s)
        if not opened:
            del self._open[(namespace, name)]

    async def _listen(self, namespace: str, name: str, listener: Listener) -> Forwarder | None:
        backends = RoundRobin(self._monotonic)
        forwarder: Forwarder = (
            UdpForwarder(backends) if listener.protocol == "UDP" else TcpForwarder(backends)
        )
        where = f"{listener.address}:{listener.port}/{listener.protocol}"
        try:
            await forwarder.listen(listener.address, listener.port)
        except OSError as e:
            hint = (
                "; ports below 1024 need root or net.ipv4.ip_unprivileged_port_start"
                if isinstance(e, PermissionError)
                else ""
            )
            log.warning(
                "service %s/%s: cannot listen on %s: %s%s; again in %g s",
                *(namespace, name, where, e.strerror, hint, AGAIN_S),
            )
            self._queue.add_later(namespace, name, AGAIN_S)
            return None
        log.info("service %s/%s: listening on %s", namespace, name, where)
        return forwarder


def listeners_of(service: Object) -> Iterator[tuple[Listener, Object]]:
    """For each port its cluster addresses, and its node port."""
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return
    addresses = [
        each
        for each in spec.get("clusterIPs") or [spec.get("clusterIP") or ""]
        if _is_loopback(each)
    ]
    for port in spec.get("ports") or ():
        protocol, name = port.get("protocol", "TCP"), port.get("name") or ""
        for address in addresses:
            yield Listener(protocol, address, port["port"], name), port
        if port.get("nodePort") and spec.get("type") in ("NodePort", "LoadBalancer"):
            yield Listener(protocol, NODE_ADDRESS, port["nodePort"], name), port


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False  # empty, or None of a headless service


def _affinity_s(service: Object) -> float:
    spec = service.get("spec", {})
    if spec.get("sessionAffinity") != "ClientIP":
        return 0.0
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return float(config.get("timeoutSeconds") or AFFINITY_S)
