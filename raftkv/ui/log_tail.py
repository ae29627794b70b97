"""The end of a member's Raft log, as the page draws it.

Owns: what an entry is called. Must never do: decode an entry: its first bytes say what it is.
"""

from __future__ import annotations

from raftkv.apply.batch import RequestKind, first_kind
from raftkv.raft.message import Entry, EntryType
from raftkv.raft.raw_node import RawNode

ENTRIES_MAX = 24

KINDS: dict[int, str] = {
    RequestKind.PUT: "put",
    RequestKind.DELETE_RANGE: "delete",
    RequestKind.TXN: "txn",
    RequestKind.COMPACT: "compact",
    RequestKind.LEASE_GRANT: "lease",
    RequestKind.LEASE_REVOKE: "lease",
    RequestKind.LEASE_EXPIRY: "lease",
    RequestKind.LEASE_CHECKPOINTS: "lease",
    RequestKind.MEMBER_ATTRIBUTES: "member",
    RequestKind.MEMBER_UPDATE: "member",
    RequestKind.CLUSTER_LEVEL: "config",
    RequestKind.ALARM: "alarm",
}
AUTH_KINDS = range(RequestKind.AUTH_ENABLE, RequestKind.ROLE_REVOKE_PERMISSION + 1)


def tail_of(node: RawNode) -> list[dict[str, object]]:
    """The last entries, oldest first. An entry of several requests is called by its first."""
    last = node.last_index
    found = [node.entry(index) for index in range(max(last - ENTRIES_MAX, 0) + 1, last + 1)]
    return [
        {"index": entry.index, "term": entry.term, "kind": kind_of(entry), "bytes": len(entry.data)}
        for entry in found
        if entry is not None
    ]


def kind_of(entry: Entry) -> str:
    if entry.type is EntryType.CONF_CHANGE:
        return "member"
    kind = first_kind(entry.data)
    if kind is None:
        return "empty"
    return "auth" if kind in AUTH_KINDS else KINDS.get(kind, "other")
