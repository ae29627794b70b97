"""What a request needs to be answered: the shim's parts, handed to every verb.

Owns: nothing but the bundle. Must never do: grow behaviour; time and chance come from here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random

from apiserver_shim.api.admission import Admission
from apiserver_shim.kubelets import Kubelets
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.schemas.definitions import Definitions
from apiserver_shim.security.bundle import Security
from apiserver_shim.store.event_leases import EventLeases
from apiserver_shim.store.mirror import Mirror
from apiserver_shim.store.registry import Registry


@dataclass(frozen=True, slots=True)
class Parts:
    """``now`` is the wall clock in UTC; ``monotonic`` counts seconds for timeouts."""

    registry: Registry
    mirror: Mirror
    catalogue: Catalogue
    definitions: Definitions
    admission: Admission
    event_leases: EventLeases
    security: Security
    kubelets: Kubelets
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    random: Random
