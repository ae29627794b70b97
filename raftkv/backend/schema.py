"""What is where in the database file.

Owns: the names of the tables and of the keys of META. Must never do: know what the records mean;
their layouts stand with the nouns that they record (mvcc.record, apply.membership, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

FORMAT_VERSION = b"1"
CHECKED_FORMAT_VERSION = b"2"
"""With checks behind the rows of INLINE, which version 0.1 does not know."""


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
    # By the same keys, four bytes for each row of the table that is named (backend.checked).
    META_CHECKS = 9
    TOMBSTONES_CHECKS = 10
    MEMBERS_CHECKS = 11
    LEASES_CHECKS = 12
    LEASE_KEYS_CHECKS = 13
    AUTH_USERS_CHECKS = 14
    AUTH_ROLES_CHECKS = 15

    @property
    def database(self) -> bytes:
        return self.name.lower().encode()


DATA_TABLES: Final = tuple(table for table in Table if not table.name.endswith("_CHECKS"))
INLINE: Final = (Table.LATEST, Table.REVISIONS)
"""The tables whose checks stand behind their rows."""
CHECKS_OF: Final[Mapping[Table, Table]] = {
    table: Table[f"{table.name}_CHECKS"] for table in DATA_TABLES if table not in INLINE
}
"""By each other table of the state, the table of its checks. Versions that do not know the latter
leave them alone."""


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
    PREFIX_QUOTA: Final = b"prefix_quota:"  # + prefix: what it may hold (mvcc.prefix_quota)
    LEVEL: Final = b"level"  # what entries may mean (raftkv.apply.level)
    DIGEST: Final = b"digest"  # of all that was applied, and up to where (apply.state_digest)
    CHECKED: Final = b"checked"  # what the checks are of (backend.checked)
    LONG_KEYS: Final = b"long_keys:"  # + table name: there is or was a key that needs a bucket
