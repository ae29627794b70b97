"""A pod as the scheduler reckons with it: worked out once, asked for by every node.

Owns: those facts. Must never do: know nodes.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.ownership import controller_of
from apiserver_shim.components.scheduler.affinity import required_terms
from apiserver_shim.components.scheduler.requests import (
    NONZERO,
    Amounts,
    HostPort,
    host_ports,
    requests_of,
)


@dataclass(frozen=True, slots=True)
class Occupant:
    """``for_score``: requests, with something for containers that ask for nothing. ``shuns``: its
    required anti-affinity. ``kin``: what it has in common with pods that it should be spread
    from."""

    pod: Object
    requests: Amounts
    for_score: Amounts
    ports: tuple[HostPort, ...]
    shuns: tuple[Object, ...]
    kin: frozenset[Hashable]


def occupant(pod: Object) -> Occupant:
    return Occupant(
        pod,
        requests_of(pod),
        requests_of(pod, NONZERO),
        tuple(host_ports(pod)),
        tuple(required_terms(pod, "podAntiAffinity")),
        frozenset(filter(None, (_owner(pod), _labels(pod)))),
    )


def kin_key(pod: Object) -> Hashable:
    """The one that decides: its controller, or, for who has none, its labels."""
    return _owner(pod) or _labels(pod)


def _owner(pod: Object) -> Hashable:
    ref = controller_of(pod)
    return ref["uid"] if ref is not None else None


def _labels(pod: Object) -> Hashable:
    metadata = pod["metadata"]
    labels = metadata.get("labels")
    return (metadata["namespace"], frozenset(labels.items())) if labels else None
