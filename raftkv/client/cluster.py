"""Who the members are, and changing that: ``client.cluster``.

Owns: etcd's Cluster service as methods, and raftkv's own beside it (``change``, ``review``). Must
never do: repeat a change that may have happened.
"""

from __future__ import annotations

from collections.abc import Sequence

from raftkv.api import rpc_pb2 as api
from raftkv.api.membership_pb2 import MembershipRequest, MembershipResponse
from raftkv.client.calls import Calls

_CLUSTER = "/etcdserverpb.Cluster/"
_CHANGE = "/raftkvpb.Membership/Change"


class Cluster:
    """Every method raises what etcd names."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def members(self, *, linearizable: bool = True) -> api.MemberListResponse:
        request = api.MemberListRequest(linearizable=linearizable)
        return await self._calls.read(_CLUSTER + "MemberList", request, api.MemberListResponse)

    async def add(
        self, peer_urls: Sequence[str], *, is_learner: bool = False
    ) -> api.MemberAddResponse:
        """A member that is not there yet. Its id is in the answer."""
        request = api.MemberAddRequest(peerURLs=peer_urls, isLearner=is_learner)
        return await self._calls.write(_CLUSTER + "MemberAdd", request, api.MemberAddResponse)

    async def promote(self, member_id: int) -> api.MemberPromoteResponse:
        """A learner becomes a voter. Raises LearnerNotReady while it is behind."""
        request = api.MemberPromoteRequest(ID=member_id)
        method = _CLUSTER + "MemberPromote"
        return await self._calls.write(method, request, api.MemberPromoteResponse)

    async def update(self, member_id: int, peer_urls: Sequence[str]) -> api.MemberUpdateResponse:
        request = api.MemberUpdateRequest(ID=member_id, peerURLs=peer_urls)
        return await self._calls.write(_CLUSTER + "MemberUpdate", request, api.MemberUpdateResponse)

    async def remove(self, member_id: int) -> api.MemberRemoveResponse:
        request = api.MemberRemoveRequest(ID=member_id)
        return await self._calls.write(_CLUSTER + "MemberRemove", request, api.MemberRemoveResponse)

    async def change(self, request: MembershipRequest) -> MembershipResponse:
        """As raftkv alone can do it: a replacement, a change in spite of the quorum. Raises what
        the leader refuses it for."""
        return await self._calls.write(_CHANGE, request, MembershipResponse)

    async def review(self, request: MembershipRequest) -> MembershipResponse:
        """What the leader says of the change, which is not made."""
        asked = MembershipRequest()
        asked.CopyFrom(request)
        asked.dry_run = True
        return await self._calls.read(_CHANGE, asked, MembershipResponse)
