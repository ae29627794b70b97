"""Who answers for a service port: its ready endpoints, in turn.

Owns: the turn and, with ClientIP affinity, who was sent where. Must never do: open a socket.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from apiserver_shim.components.api_client import Object

CLIENTS_MAX = 10_000
"""Remembered by one service port with affinity; the one not seen for longest goes first."""


@dataclass(frozen=True, slots=True, order=True)
class Backend:
    address: str
    port: int


class RoundRobin:
    """``affinity_s``: how long a client keeps its backend; 0 for none."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._backends: tuple[Backend, ...] = ()
        self._next = 0
        self._affinity_s = 0.0
        self._clients: OrderedDict[str, tuple[Backend, float]] = OrderedDict()

    def set(self, backends: Sequence[Backend], affinity_s: float = 0.0) -> None:
        self._backends = tuple(sorted(set(backends)))
        self._affinity_s = affinity_s

    def choices(self, client: str) -> list[Backend]:
        """All of them, the one whose turn it is first: the others are for when it refuses."""
        count = len(self._backends)
        if not count:
            return []
        first = self._kept(client)
        if first is None:
            first = self._backends[self._next % count]
            self._next += 1
        at = self._backends.index(first)
        return [*self._backends[at:], *self._backends[:at]]

    def used(self, client: str, backend: Backend) -> None:
        """It took the connection."""
        if self._affinity_s:
            self._clients[client] = (backend, self._monotonic())
            self._clients.move_to_end(client)
            while len(self._clients) > CLIENTS_MAX:
                self._clients.popitem(last=False)

    def _kept(self, client: str) -> Backend | None:
        backend, since = self._clients.get(client, (None, 0.0))
        if not self._affinity_s or backend not in self._backends:
            return None
        return backend if self._monotonic() - since < self._affinity_s else None


def backends_of(slices: Sequence[Object], endpoints: Object | None, port: Object) -> list[Backend]:
    """The ready endpoints of one port of a service: of its slices, or where there is none, of its
    Endpoints."""
    if slices:
        return [
            Backend(address, each_port["port"])
            for each in slices
            for each_port in each.get("ports") or ()
            if _same_port(each_port, port)
            for endpoint in each.get("endpoints") or ()
            if endpoint.get("conditions", {}).get("ready") is not False
            for address in endpoint["addresses"]
        ]
    return [
        Backend(address["ip"], each_port["port"])
        for subset in (endpoints or {}).get("subsets") or ()
        for each_port in subset.get("ports") or ()
        if _same_port(each_port, port)
        for address in subset.get("addresses") or ()
    ]


def _same_port(theirs: Object, ours: Object) -> bool:
    same_name = (theirs.get("name") or "") == (ours.get("name") or "")
    return same_name and theirs.get("protocol", "TCP") == ours.get("protocol", "TCP")
