"""The questions that the key space answers, and the values that it hands out.

Owns: RangeQuery, RangeResult, Mutation and Event. Must never do: touch storage, or know protobuf
messages; ``raftkv.mvcc.codec`` alone builds their bytes.
Range ends follow etcd everywhere: empty = the one key, one zero byte = every key from ``key`` on,
otherwise the half-open interval [key, range_end).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class SortOrder(IntEnum):
    NONE = 0
    ASCEND = 1
    DESCEND = 2


class SortTarget(IntEnum):
    KEY = 0
    VERSION = 1
    CREATE = 2
    MOD = 3
    VALUE = 4


class RangeQuery(NamedTuple):
    """etcd's RangeRequest without its routing fields; bounds are inclusive, 0 means unset.

    A named tuple, since every get makes one: a frozen dataclass of 12 fields takes 2 us.
    """

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    sort_order: SortOrder = SortOrder.NONE
    sort_target: SortTarget = SortTarget.KEY
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


@dataclass(frozen=True, slots=True)
class RangeResult:
    """``pieces``, joined, are the ``kvs`` fields of a RangeResponse (tag, length, KeyValue) in
    order, and so the list's body. Each holds one row or more, whole: ``codec.rows_of`` cuts it.
    ``revision`` is the store's, not the one asked for."""

    pieces: Sequence[bytes]
    count: int
    more: bool
    revision: int


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One version of one key, decoded. ``version`` 0 means that the key does not exist."""

    key: bytes
    create_revision: int = 0
    mod_revision: int = 0
    version: int = 0
    value: bytes = b""
    lease: int = 0


@dataclass(slots=True)
class Event:
    """One change of one key at (``revision``, ``sub``).

    ``kv`` is the encoded KeyValue of the change (key and mod_revision alone for a delete), and
    ``prev_kv`` the encoded KeyValue that it replaced, None where there was none. The two ``field``
    slots cache the encoded ``events`` field of a WatchResponse, without and with prev_kv, so that
    all watchers share one encoding.
    """

    key: bytes
    revision: int
    sub: int
    is_delete: bool
    kv: bytes
    prev_kv: bytes | None
    field: bytes | None = None
    field_with_prev: bytes | None = None


@dataclass(frozen=True, slots=True)
class RevisionEvents:
    """All events of one revision, in sub-revision order: a watcher gets all of them or none."""

    revision: int
    events: tuple[Event, ...]

    @property
    def size(self) -> int:
        """Bytes of keys and values, old and new."""
        return sum([len(event.kv) + len(event.prev_kv or b"") for event in self.events])
