"""EndpointSlices: the addresses behind each Service, a hundred to an object.

Owns: slices labelled as this controller's. Must never do: change a slice that need not change: each
is sent to every node.
"""

from __future__ import annotations

from collections.abc import Sequence

from apiserver_shim.components.api_client import ApiFailure, Object
from apiserver_shim.components.controllers.service_backends import (
    Backend,
    Port,
    backends_of,
    follow_backends,
    is_headless,
)
from apiserver_shim.components.controllers.surroundings import Controller, Surroundings
from apiserver_shim.components.kinds import ENDPOINT_SLICES, PODS, SERVICES
from apiserver_shim.components.ownership import is_being_deleted, reference_to

ENDPOINTS_MAX = 100
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
OURS = "endpointslice-controller.k8s.io"


def endpoint_of(backend: Backend) -> Object:
    found: Object = {
        "addresses": [backend.ip],
        "conditions": {
            "ready": backend.ready,
            "serving": backend.serving,
            "terminating": backend.terminating,
        },
        "targetRef": backend.target,
    }
    return found | {
        key: value
        for key, value in (("nodeName", backend.node), ("hostname", backend.hostname))
        if value
    }


def contents_of(backends: Sequence[Backend]) -> list[tuple[str, tuple[Port, ...], list[Object]]]:
    """Address type, ports and endpoints of each slice that there should be."""
    groups: dict[tuple[str, tuple[Port, ...]], list[Object]] = {}
    for each in backends:
        family = "IPv6" if ":" in each.ip else "IPv4"
        groups.setdefault((family, each.ports), []).append(endpoint_of(each))
    return [
        (family, ports, endpoints[at : at + ENDPOINTS_MAX])
        for (family, ports), endpoints in sorted(groups.items(), key=lambda item: item[0])
        for at in range(0, len(endpoints), ENDPOINTS_MAX)
    ]


class EndpointSliceController(Controller):
    title = "endpoint-slice-controller"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._services = around.informers.of(SERVICES)
        self._pods = around.informers.of(PODS)
        self._slices = around.informers.of(ENDPOINT_SLICES)
        self.follow(self._services)
        follow_backends(self, self._services, self._pods)
        self._slices.listen(self._slice_changed)

    async def reconcile(self, namespace: str, name: str) -> None:
        service = self._services.get(namespace, name)
        mine = [each for each in self._slices.of(namespace) if _service_of(each) == name]
        if service is None:
            for each in mine:
                await self._delete(each)
            return
        if not service["spec"].get("selector") or is_being_deleted(service):
            return
        backends = backends_of(service, self._pods.of(namespace), terminating=True)
        wanted = contents_of(backends) or [("IPv4", (), [])]
        left = {each["metadata"]["name"]: each for each in mine if not is_being_deleted(each)}
        unmatched = [slice_of(service, *content) for content in wanted]
        unmatched = [new for new in unmatched if not _takes_same(new, left)]
        for new in unmatched:
            spare = next(
                (each for each in left.values() if each["addressType"] == new["addressType"]), None
            )
            if spare is None:
                await self._create(namespace, new)
                continue
            del left[spare["metadata"]["name"]]
            metadata = {**spare["metadata"], "labels": new["metadata"]["labels"]}
            written = await self.client.update(ENDPOINT_SLICES, {**new, "metadata": metadata})
            self.wrote(self._slices, written)
        for each in left.values():
            await self._delete(each)

    async def _create(self, namespace: str, new: Object) -> None:
        try:
            made = await self.client.create(ENDPOINT_SLICES, namespace, new)
        except ApiFailure as e:
            if e.code != 403:
                raise
            # the namespace is being deleted: nobody needs them there
        else:
            self.wrote(self._slices, made)

    async def _delete(self, each: Object) -> None:
        metadata = each["metadata"]
        await self.client.delete(ENDPOINT_SLICES, metadata["namespace"], metadata["name"])

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        each = new or old or {}
        if service := _service_of(each):
            self.queue.add(each["metadata"]["namespace"], service)


def slice_of(
    service: Object, family: str, ports: tuple[Port, ...], endpoints: list[Object]
) -> Object:
    metadata = service["metadata"]
    labels = {
        **(metadata.get("labels") or {}),
        SERVICE_NAME: metadata["name"],
        MANAGED_BY: OURS,
        **({"service.kubernetes.io/headless": ""} if is_headless(service) else {}),
    }
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [reference_to(service)],
        },
        "addressType": family,
        "endpoints": endpoints,
        "ports": [
            {"name": name, "port": number, "protocol": protocol} for name, number, protocol in ports
        ],
    }


def _takes_same(new: Object, left: dict[str, Object]) -> bool:
    """Whether a slice is there already as it should be; it is then taken out of ``left``."""
    for name, each in left.items():
        same = all(
            (each.get(key) or []) == (new[key] or [])
            for key in ("addressType", "endpoints", "ports")
        )
        if same and each["metadata"].get("labels") == new["metadata"]["labels"]:
            del left[name]
            return True
    return False


def _service_of(each: Object) -> str:
    labels = each["metadata"].get("labels") or {}
    return str(labels.get(SERVICE_NAME, "")) if labels.get(MANAGED_BY) == OURS else ""
