"""Who a member is: ids that every member derives alike from the same start-up settings.

Owns: member and cluster ids. Must never do: read a clock: members that bootstrap together must
agree without talking. Follows etcd: a member id is the first eight bytes of the SHA-1 of its sorted
peer URLs and the cluster token; the cluster id that of all sorted member ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from raftkv.server.status import MemberInfo


def member_id(peer_urls: Sequence[str], token: str) -> int:
    return _first_eight("".join(sorted(peer_urls)).encode() + token.encode())


def cluster_id(member_ids: Sequence[int]) -> int:
    return _first_eight(b"".join(i.to_bytes(8, "big") for i in sorted(member_ids)))


def initial_members(
    initial_cluster: Mapping[str, Sequence[str]], token: str
) -> tuple[MemberInfo, ...]:
    """The rows that a new cluster starts with, by id. Names arrive when members publish them."""
    rows = (
        MemberInfo(member_id(urls, token), "", tuple(sorted(urls)), ())
        for urls in initial_cluster.values()
    )
    return tuple(sorted(rows, key=lambda row: row.id))


def _first_eight(data: bytes) -> int:
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest()[:8], "big")
