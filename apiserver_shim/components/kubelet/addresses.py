"""Pod addresses: one of the node's range on loopback for each pod.

Owns: which are taken. Must never do: give a freed address to the next pod while others are free,
so that a connection meant for the old pod does not reach the new one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable

HOST_IP = "127.0.0.1"


class AddressesExhausted(RuntimeError):
    """More pods than addresses."""


class PodAddresses:
    """Each owner has one address. The network's first and last are not given out."""

    def __init__(self, cidr: str) -> None:
        network = ipaddress.IPv4Network(cidr)
        if not network.is_loopback or network.num_addresses < 4:
            raise ValueError(
                f"pod range {cidr}: must be a part of 127.0.0.0/8 of /30 at least, for pods are "
                "processes of this machine"
            )
        self._network = network
        self._next = 1
        self._taken: dict[Hashable, int] = {}

    def take(self, owner: Hashable) -> str:
        """The owner's address: the same one each time."""
        if owner not in self._taken:
            self._taken[owner] = self._free()
        return str(self._network[self._taken[owner]])

    def free(self, owner: Hashable) -> None:
        self._taken.pop(owner, None)

    def _free(self) -> int:
        count = self._network.num_addresses - 2
        used = set(self._taken.values())
        for offset in range(count):
            found = (self._next - 1 + offset) % count + 1
            if found not in used:
                self._next = found % count + 1
                return found
        raise AddressesExhausted(f"all {count} addresses of {self._network} are taken")
