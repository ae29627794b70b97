"""How much the current versions below a prefix may hold, counted so that all members agree.

Owns: the quotas, their counts, and their rows of META. Must never do: refuse anything (that is
``apply.prefix_quota``), or cost a write anything while there is no quota.

A count is of keys, and of the bytes of keys and values, as `raftkv ctl usage` has it. History does
not count: who writes one key over and over is bounded by compaction, and by the cluster's quota.
Each write of a key adds its difference to every quota whose prefix the key begins with.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from raftkv.backend.environment import Backend
from raftkv.backend.ordered_keys import OrderedKeys
from raftkv.backend.schema import Meta, Table
from raftkv.errors import Corrupt, InvalidRequest
from raftkv.mvcc.codec import row_body, value_bytes_of

PREFIX_BYTES_MAX: Final = 256
QUOTAS_MAX: Final = 64
"""A write looks at one dict entry for each length that a prefix has."""
COUNTED_KEYS_MAX: Final = 100_000
"""What is there when a quota is set is counted in the turn of its entry, on all members at once."""


@dataclass(slots=True)
class PrefixQuota:
    """A bound of 0 is none."""

    prefix: bytes
    bytes_max: int
    keys_max: int
    bytes: int = 0
    keys: int = 0


class PrefixQuotas:
    """``is_on`` while there is one."""

    is_on: bool

    def __init__(self, backend: Backend, latest: OrderedKeys) -> None:
        self._backend = backend
        self._latest = latest
        self._quotas: dict[bytes, PrefixQuota] = {}
        self._lengths: tuple[int, ...] = ()
        self._is_dirty = False
        self.is_on = False

    def reload(self) -> None:
        """Read the rows of a database that was opened or replaced. Raises Corrupt."""
        start = Meta.PREFIX_QUOTA
        found: dict[bytes, PrefixQuota] = {}
        for key, data in self._backend.cursor(Table.META, start, end_of(start)):
            prefix = key[len(start) :]
            try:
                found[prefix] = PrefixQuota(prefix, *json.loads(data))
            except (ValueError, TypeError) as e:
                raise Corrupt(f"the quota of {prefix!r} is unreadable: {e!r}") from e
        self._quotas = found
        self._is_dirty = False
        self._note()

    def flush(self) -> None:
        """Write the counts down; called before each commit, in the same transaction."""
        if not self._is_dirty:
            return
        self._is_dirty = False
        for one in self._quotas.values():
            row = json.dumps((one.bytes_max, one.keys_max, one.bytes, one.keys)).encode()
            self._backend.put(Table.META, _row_key(one.prefix), row)

    def rows(self) -> list[PrefixQuota]:
        """All of them, by prefix."""
        return [self._quotas[prefix] for prefix in sorted(self._quotas)]

    def at(self, prefix: bytes) -> PrefixQuota:
        """The one that ``over`` named."""
        return self._quotas[prefix]

    def over(self, key: bytes) -> list[PrefixQuota]:
        """Those that ``key`` counts for, the shortest prefix first."""
        quotas = self._quotas
        return [quotas[key[:n]] for n in self._lengths if key[:n] in quotas]

    # --- by entries -------------------------------------------------------------------------------

    def set(self, prefix: bytes, bytes_max: int, keys_max: int) -> None:
        """Bound what is below ``prefix`` from now on. More than that may be there already: then
        nothing may be added. Raises InvalidRequest."""
        known = self._quotas.get(prefix)
        if known is not None:
            known.bytes_max, known.keys_max = bytes_max, keys_max
        else:
            self._check_new(prefix)
            self._quotas[prefix] = self._counted(prefix, bytes_max, keys_max)
            self._note()
        self._is_dirty = True

    def remove(self, prefix: bytes) -> None:
        """Raises InvalidRequest for one that there is not."""
        if self._quotas.pop(prefix, None) is None:
            raise InvalidRequest(f"etcdserver: there is no quota for the prefix {prefix!r}")
        self._backend.delete(Table.META, _row_key(prefix))
        self._note()

    def drop(self) -> None:
        """Count no longer: other versions write, which do not."""
        for prefix in list(self._quotas):
            self.remove(prefix)

    def note_put(self, key: bytes, value_bytes: int, before: bytes | None) -> None:
        """``before`` is the KeyValue that was there."""
        over = self.over(key)
        if not over:
            return
        if before is None:
            self._add(over, len(key) + value_bytes, 1)
        else:
            self._add(over, value_bytes - value_bytes_of(before), 0)

    def note_delete(self, key: bytes, before: bytes) -> None:
        over = self.over(key)
        if over:
            self._add(over, -len(key) - value_bytes_of(before), -1)

    # --- inside -----------------------------------------------------------------------------------

    def _add(self, over: list[PrefixQuota], size: int, keys: int) -> None:
        self._is_dirty = True
        for one in over:
            one.bytes += size
            one.keys += keys
            assert one.bytes >= 0 <= one.keys, (one, size, keys)

    def _check_new(self, prefix: bytes) -> None:
        if not prefix or len(prefix) > PREFIX_BYTES_MAX:
            raise InvalidRequest(
                f"etcdserver: a quota's prefix has 1 to {PREFIX_BYTES_MAX} bytes, got {len(prefix)}"
            )
        if len(self._quotas) >= QUOTAS_MAX:
            raise InvalidRequest(
                f"etcdserver: there are {len(self._quotas)} prefix quotas, the limit is "
                f"{QUOTAS_MAX}: remove one first"
            )

    def _counted(self, prefix: bytes, bytes_max: int, keys_max: int) -> PrefixQuota:
        found = PrefixQuota(prefix, bytes_max, keys_max)
        for key, row in self._latest.scan(prefix, end_of(prefix)):
            if found.keys == COUNTED_KEYS_MAX:
                raise InvalidRequest(
                    f"etcdserver: there are more than {COUNTED_KEYS_MAX} keys below {prefix!r}: "
                    "set its quota before they are there, or quotas of prefixes below it"
                )
            found.keys += 1
            found.bytes += len(key) + value_bytes_of(row_body(row))
        return found

    def _note(self) -> None:
        self._lengths = tuple(sorted({len(prefix) for prefix in self._quotas}))
        self.is_on = bool(self._quotas)


def end_of(prefix: bytes) -> bytes | None:
    """The first key behind all that begin with ``prefix``; None if there is none."""
    bare = prefix.rstrip(b"\xff")
    return bare[:-1] + bytes((bare[-1] + 1,)) if bare else None


def _row_key(prefix: bytes) -> bytes:
    return Meta.PREFIX_QUOTA + prefix
