"""Response headers that are not made by applying an entry: those of reads and status calls.

Owns: the header of this member at its present term. Must never do: invent a revision.
"""

from __future__ import annotations

from raftkv.api.rpc_pb2 import ResponseHeader
from raftkv.apply.header import HeaderEncoder
from raftkv.rpc.member import Identified


class Headers:
    def __init__(self, member: Identified) -> None:
        self._member = member
        self._encoder = HeaderEncoder(member.cluster_id, member.member_id, member.raft_term)

    @property
    def encoder(self) -> HeaderEncoder:
        term = self._member.raft_term
        if self._encoder.raft_term != term:
            self._encoder = HeaderEncoder(self._member.cluster_id, self._member.member_id, term)
        return self._encoder

    def message(self, revision: int = 0) -> ResponseHeader:
        """``revision`` 0 is absent on the wire: the cluster's own responses have none."""
        member = self._member
        return ResponseHeader(
            cluster_id=member.cluster_id,
            member_id=member.member_id,
            revision=revision,
            raft_term=member.raft_term,
        )
