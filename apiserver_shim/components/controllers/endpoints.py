"""Endpoints: the addresses behind each Service, ready and not yet ready.

Owns: the objects with the Services' names. Must never do: touch those of Services without a
selector: somebody else fills them in.
"""

from __future__ import annotations

from collections.abc import Sequence

from apiserver_shim.components.api_client import ApiFailure, Object
from apiserver_shim.components.controllers.service_backends import (
    Backend,
    backends_of,
    follow_backends,
    is_headless,
)
from apiserver_shim.components.controllers.surroundings import Controller, Surroundings
from apiserver_shim.components.kinds import ENDPOINTS, PODS, SERVICES

ADDRESSES_MAX = 1000
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"


def subsets_of(backends: Sequence[Backend]) -> list[Object]:
    """Addresses grouped by the ports they serve, all in order."""
    groups: dict[tuple[tuple[str, int, str], ...], tuple[list[Object], list[Object]]] = {}
    for each in backends[:ADDRESSES_MAX]:
        ready, waiting = groups.setdefault(each.ports, ([], []))
        address: Object = {"ip": each.ip, "targetRef": each.target}
        address |= {k: v for k, v in (("nodeName", each.node), ("hostname", each.hostname)) if v}
        (ready if each.ready else waiting).append(address)
    subsets: list[Object] = []
    for ports, (ready, waiting) in sorted(groups.items()):
        subset: Object = {}
        for name, addresses in (("addresses", ready), ("notReadyAddresses", waiting)):
            if addresses:
                subset[name] = sorted(addresses, key=lambda a: (a["ip"], a["targetRef"]["uid"]))
        if ports:
            subset["ports"] = [
                {**({"name": name} if name else {}), "port": number, "protocol": protocol}
                for name, number, protocol in ports
            ]
        subsets.append(subset)
    return subsets


class EndpointsController(Controller):
    title = "endpoint-controller"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._services = around.informers.of(SERVICES)
        self._pods = around.informers.of(PODS)
        self._endpoints = around.informers.of(ENDPOINTS)
        self.follow(self._services)
        self.follow(self._endpoints)
        follow_backends(self, self._services, self._pods)

    async def reconcile(self, namespace: str, name: str) -> None:
        service = self._services.get(namespace, name)
        before = self._endpoints.get(namespace, name)
        if service is None:
            if before is not None and _is_ours(before):
                options = {"preconditions": {"uid": before["metadata"]["uid"]}}
                await self.client.delete(ENDPOINTS, namespace, name, options)
            return
        if not service["spec"].get("selector"):
            return
        backends = backends_of(service, self._pods.of(namespace))
        subsets = subsets_of(backends)
        labels = dict(service["metadata"].get("labels") or {})
        labels["endpoints.kubernetes.io/managed-by"] = self.title
        if is_headless(service):
            labels["service.kubernetes.io/headless"] = ""
        wanted: Object = {"kind": "Endpoints", "apiVersion": "v1"}
        metadata: Object = {"name": name, "namespace": namespace, "labels": labels}
        if len(backends) > ADDRESSES_MAX:
            metadata["annotations"] = {OVER_CAPACITY: "truncated"}
        if subsets:
            wanted["subsets"] = subsets
        if before is None:
            await self._create(namespace, {**wanted, "metadata": metadata})
        elif (before.get("subsets") or []) != subsets or before["metadata"].get("labels") != labels:
            wanted["metadata"] = {**before["metadata"], **metadata}
            self.wrote(self._endpoints, await self.client.update(ENDPOINTS, wanted))

    async def _create(self, namespace: str, wanted: Object) -> None:
        try:
            self.wrote(self._endpoints, await self.client.create(ENDPOINTS, namespace, wanted))
        except ApiFailure as e:
            if e.code != 403:
                raise
            # the namespace is being deleted: nobody needs them there


def _is_ours(endpoints: Object) -> bool:
    """Made for a Service, not by hand for one that is to come."""
    labels = endpoints["metadata"].get("labels") or {}
    return labels.get("endpoints.kubernetes.io/managed-by") == EndpointsController.title
