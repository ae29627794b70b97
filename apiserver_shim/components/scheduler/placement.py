"""Nodes with their pods, as the scheduler sees them: what is bound, and what it has just bound.

Owns: the assumed pods. Must never do: give the same room twice: a pod counts from the moment it is
assumed, long before a watch tells of its binding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.pod_states import is_terminal, node_of
from apiserver_shim.components.scheduler.occupant import Occupant, occupant
from apiserver_shim.components.scheduler.requests import (
    Amounts,
    HostPort,
    allocatable,
    together,
)


@dataclass
class Place:
    """A node and the pods that take room on it."""

    node: Object
    occupants: list[Occupant] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])

    @cached_property
    def pods(self) -> list[Object]:
        return [each.pod for each in self.occupants]

    @cached_property
    def room(self) -> Amounts:
        return allocatable(self.node)

    @cached_property
    def taken(self) -> Amounts:
        return together(each.requests for each in self.occupants)

    @cached_property
    def taken_for_score(self) -> Amounts:
        return together(each.for_score for each in self.occupants)

    @cached_property
    def ports(self) -> list[HostPort]:
        return [port for each in self.occupants for port in each.ports]

    @cached_property
    def shunning(self) -> list[Occupant]:
        """Those with a required anti-affinity."""
        return [each for each in self.occupants if each.shuns]

    @cached_property
    def kin(self) -> Counter[Hashable]:
        return Counter(key for each in self.occupants for key in each.kin)


class Placement:
    """``places`` is made anew for the nodes whose pods have changed only."""

    def __init__(self) -> None:
        self._nodes: dict[str, Object] = {}
        self._pods: dict[str, dict[str, Occupant]] = {}
        self._node_of: dict[str, str] = {}
        self._assumed: dict[str, Object] = {}
        self._places: dict[str, Place] = {}

    def node_changed(self, old: Object | None, new: Object | None) -> None:
        name = (new or old or {})["metadata"]["name"]
        self._places.pop(name, None)
        if new is None:
            self._nodes.pop(name, None)
        else:
            self._nodes[name] = new

    def pod_changed(self, old: Object | None, new: Object | None) -> None:
        """What a watch tells takes the place of what was assumed."""
        uid = (new or old or {})["metadata"]["uid"]
        if old is not None and old["metadata"]["uid"] != uid:
            self.pod_changed(old, None)  # a list told of another pod of that name
        if new is not None and not node_of(new):
            return
        self._assumed.pop(uid, None)
        self._take_away(uid)
        if new is not None and not is_terminal(new):
            self._put(new)

    def assume(self, pod: Object, node: str) -> None:
        bound = {**pod, "spec": {**pod.get("spec", {}), "nodeName": node}}
        self._assumed[pod["metadata"]["uid"]] = bound
        self._put(bound)

    def forget(self, pod: Object) -> None:
        """The binding was refused."""
        uid = pod["metadata"]["uid"]
        if self._assumed.pop(uid, None) is not None:
            self._take_away(uid)

    def is_assumed(self, pod: Object) -> bool:
        return pod["metadata"]["uid"] in self._assumed

    def places(self) -> list[Place]:
        for name, node in self._nodes.items():
            if name not in self._places:
                pods = self._pods.get(name, {})
                self._places[name] = Place(node, list(pods.values()))
        return [self._places[name] for name in self._nodes]

    def _put(self, pod: Object) -> None:
        uid, node = pod["metadata"]["uid"], node_of(pod)
        self._pods.setdefault(node, {})[uid] = occupant(pod)
        self._node_of[uid] = node
        self._places.pop(node, None)

    def _take_away(self, uid: str) -> None:
        node = self._node_of.pop(uid, None)
        if node is not None:
            self._pods[node].pop(uid, None)
            self._places.pop(node, None)


def placement_of(nodes: Iterable[Object], pods: Iterable[Object]) -> Placement:
    """As it is when these have been watched."""
    found = Placement()
    for node in nodes:
        found.node_changed(None, node)
    for pod in pods:
        found.pod_changed(None, pod)
    return found
