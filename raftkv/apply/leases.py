"""What the key space must know of leases: whether one exists.

Owns: the LeaseBook protocol and the book of a server that grants no leases. Must never do: count
time; a lease ends by an entry of the log.
"""

from __future__ import annotations

from typing import Protocol

NO_LEASE = 0


class LeaseBook(Protocol):
    def exists(self, lease: int) -> bool:
        """Whether ``lease`` is granted, as of the entries applied so far."""


class NoLeases:
    """No lease was ever granted, so a Put that names one is refused as etcd refuses it."""

    def exists(self, lease: int) -> bool:
        assert lease != NO_LEASE, "lease 0 means no lease and is never looked up"
        return False
