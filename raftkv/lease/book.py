"""The leases that are granted and the keys on them, as of the entries applied so far.

Owns: the rows of LEASES and LEASE_KEYS, and the same leases in memory: the leader looks at them
while the database commits. Must never do: know time, or change by anything but an applied entry.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from raftkv.backend.environment import Backend
from raftkv.backend.ordered_keys import OrderedKeys
from raftkv.backend.schema import Table
from raftkv.errors import LeaseExists, LeaseNotFound
from raftkv.mvcc.codec import key_of, lease_of, signed

_ID = struct.Struct(">Q")
_ROW = struct.Struct(">QQ")
_U64 = (1 << 64) - 1


@dataclass(slots=True)
class Lease:
    """``remaining_s`` is what the last checkpoint left of ``ttl_s``; 0 when there is none."""

    id: int
    ttl_s: int
    remaining_s: int = 0


class LeaseObserver(Protocol):
    """Whoever counts the time."""

    def granted(self, lease: Lease) -> None: ...

    def ended(self, lease_id: int) -> None: ...


class LeaseBook:
    """``observer`` is told of what is applied."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._keys = OrderedKeys(backend, Table.LEASE_KEYS)
        self.observer: LeaseObserver | None = None
        self.reload()

    def reload(self) -> None:
        """Read the leases from the backend, which was opened or replaced."""
        self._keys.reload()
        self._has_keys = not self._keys.is_empty
        self._leases: dict[int, Lease] = {}
        for key, row in self._backend.cursor(Table.LEASES):
            lease_id = signed(_ID.unpack(key)[0])
            self._leases[lease_id] = Lease(lease_id, *_ROW.unpack(row))

    # --- reading ------------------------------------------------------------------------------

    def exists(self, lease_id: int) -> bool:
        return lease_id in self._leases

    def get(self, lease_id: int) -> Lease | None:
        return self._leases.get(lease_id)

    @property
    def leases(self) -> Collection[Lease]:
        return self._leases.values()

    def keys(self, lease_id: int) -> list[bytes]:
        """The keys that hang on the lease, in order. Reads the backend."""
        start = _key(lease_id)
        return [key[_ID.size :] for key, _ in self._keys.scan(start, _after(lease_id))]

    # --- applied entries ------------------------------------------------------------------------

    def grant(self, lease_id: int, ttl_s: int) -> None:
        """Raises LeaseExists."""
        if lease_id in self._leases:
            raise LeaseExists(f"lease {lease_id:x} exists")
        lease = Lease(lease_id, ttl_s)
        self._write(lease)
        if self.observer is not None:
            self.observer.granted(lease)

    def end(self, lease_id: int) -> None:
        """Forget the lease, whose keys are deleted already. Raises LeaseNotFound."""
        if self._leases.pop(lease_id, None) is None:
            raise LeaseNotFound(f"lease {lease_id:x} does not exist")
        self._backend.delete(Table.LEASES, _key(lease_id))
        if self.observer is not None:
            self.observer.ended(lease_id)

    def checkpoint(self, lease_id: int, remaining_s: int) -> None:
        """Note what is left of the lease; 0 takes the note back. It may have ended meanwhile."""
        lease = self._leases.get(lease_id)
        if lease is not None:
            lease.remaining_s = remaining_s
            self._write(lease)

    def put(self, key: bytes, previous: bytes | None, lease_id: int) -> None:
        """``key`` got a new version on ``lease_id`` (0: none); ``previous`` is the old KeyValue."""
        old = lease_of(previous) if previous is not None and self._has_keys else 0
        if old == lease_id:
            return
        if old:
            self._keys.delete(_key(old) + key)
        if lease_id:
            assert lease_id in self._leases, f"{key!r} was put on lease {lease_id:x}, which is none"
            self._keys.put(_key(lease_id) + key, b"")
            self._has_keys = True

    def deleted(self, key_values: Iterable[bytes]) -> None:
        """Those versions are no more."""
        if not self._has_keys:
            return
        for key_value in key_values:
            lease_id = lease_of(key_value)
            if lease_id:
                self._keys.delete(_key(lease_id) + key_of(key_value))
        self._has_keys = not self._keys.is_empty

    def _write(self, lease: Lease) -> None:
        self._leases[lease.id] = lease
        row = _ROW.pack(lease.ttl_s, lease.remaining_s)
        self._backend.put(Table.LEASES, _key(lease.id), row)


def _key(lease_id: int) -> bytes:
    return _ID.pack(lease_id & _U64)


def _after(lease_id: int) -> bytes | None:
    """Where the keys of the next lease begin."""
    number = lease_id & _U64
    return None if number == _U64 else _ID.pack(number + 1)
