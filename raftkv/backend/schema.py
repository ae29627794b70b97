"""What is where in the database file.

Owns: the names of the tables and of the keys of META. Must never do: know what the records mean;
their layouts stand with the nouns that they record (mvcc.record, apply.membership, ...).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

FORMAT_VERSION = b"1"


class Table(IntEnum):
    """One LMDB sub-database each, by the name in lower case. The numbers are of no meaning
    outside the process: a list is indexed by them."""

    META = 0
    LATEST = 1  # user key -> the kvs field of a RangeResponse, ready to be sent
    REVISIONS = 2  # (main, sub) -> what happened to one key then
    TOMBSTONES = 3  # user key -> (main, sub) of its deletion, while history has it
    MEMBERS = 4  # member id -> its row
    LEASES = 5  # lease id -> its TTL and what is left of it
    LEASE_KEYS = 6  # (lease id, user key) -> nothing: the key hangs on the lease
    AUTH_USERS = 7  # name -> authpb.User, with the hash of its password
    AUTH_ROLES = 8  # name -> authpb.Role

    @property
    def database(self) -> bytes:
        return self.name.lower().encode()


class Meta:
    """Keys of Table.META."""

    FORMAT: Final = b"format"
    APPLIED: Final = b"applied"
    CURRENT_REVISION: Final = b"current_revision"
    COMPACT_SCHEDULED: Final = b"compact_scheduled"
    COMPACT_FINISHED: Final = b"compact_finished"
    ALARM: Final = b"alarm:"  # + kind and member id: the alarm is raised
    AUTH_ENABLED: Final = b"auth_enabled"  # there while auth is enabled
    AUTH_REVISION: Final = b"auth_revision"  # in decimals
    SPACE: Final = b"space"  # how much is live (raftkv.mvcc.ledger)
    SPACE_AT: Final = b"space_at:"  # + when counting began and a revision: a sample of it
    LEVEL: Final = b"level"  # what entries may mean (raftkv.apply.level)
    LONG_KEYS: Final = b"long_keys:"  # + table name: there is or was a key that needs a bucket
