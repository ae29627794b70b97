"""What a node's pods share: clock, directories, addresses, images, a way to the API.

Owns: the bundle. Must never do: grow behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import aiohttp

from apiserver_shim.components.api_client import ApiClient, Object
from apiserver_shim.components.clocks import Clock
from apiserver_shim.components.event_recorder import EventRecorder
from apiserver_shim.components.kubelet.addresses import PodAddresses
from apiserver_shim.components.kubelet.back_off import BASE_S, MAX_S, BackOff
from apiserver_shim.components.kubelet.images import Images
from apiserver_shim.components.process_groups import ProcessGroups


@dataclass(frozen=True, slots=True)
class Machine:
    client: ApiClient
    clock: Clock
    groups: ProcessGroups
    http: aiohttp.ClientSession
    events: EventRecorder
    images: Images
    addresses: PodAddresses
    directory: Path
    back_off_base_s: float = BASE_S
    back_off_max_s: float = MAX_S

    def back_off(self) -> BackOff:
        return BackOff(self.back_off_base_s, self.back_off_max_s)

    def pod_directory(self, pod: Object) -> Path:
        """Absolute: containers run in it."""
        return self.directory / "pods" / str(pod["metadata"]["uid"])
