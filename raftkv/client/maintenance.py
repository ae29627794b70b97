"""Looking after members: ``client.maintenance``.

Owns: etcd's Maintenance service as methods. Those of one member take its ``endpoint``, the one in
use by default; with one, nothing is asked elsewhere. Must never do: repeat a change that may have
happened.
"""

from __future__ import annotations

from collections.abc import Sequence

from raftkv.api import rpc_pb2 as api
from raftkv.api.prefix_quota_pb2 import (
    PrefixQuota,
    PrefixQuotaListRequest,
    PrefixQuotaRequest,
    PrefixQuotaResponse,
)
from raftkv.client.calls import Calls
from raftkv.client.endpoints import Endpoints
from raftkv.client.snapshot import SaveOptions, save

_MAINTENANCE = "/etcdserverpb.Maintenance/"
_QUOTAS = "/raftkvpb.PrefixQuotas/"


class Maintenance:
    """Every method raises what etcd names."""

    def __init__(self, endpoints: Endpoints, calls: Calls) -> None:
        self._endpoints = endpoints
        self._calls = calls

    async def status(self, endpoint: str = "") -> api.StatusResponse:
        request = api.StatusRequest()
        method = _MAINTENANCE + "Status"
        return await self._calls.read(method, request, api.StatusResponse, at=endpoint)

    async def hash_kv(self, revision: int = 0, endpoint: str = "") -> api.HashKVResponse:
        request = api.HashKVRequest(revision=revision)
        method = _MAINTENANCE + "HashKV"
        return await self._calls.read(method, request, api.HashKVResponse, at=endpoint)

    async def alarms(self) -> Sequence[api.AlarmMember]:
        """What is wrong, as far as the cluster has been told."""
        request = api.AlarmRequest()
        reply = await self._calls.read(_MAINTENANCE + "Alarm", request, api.AlarmResponse)
        return reply.alarms

    async def disarm(self, alarm: api.AlarmMember) -> api.AlarmResponse:
        """Say that what ``alarm`` told of is right again."""
        request = api.AlarmRequest(
            action=api.AlarmRequest.DEACTIVATE, memberID=alarm.memberID, alarm=alarm.alarm
        )
        return await self._calls.write(_MAINTENANCE + "Alarm", request, api.AlarmResponse)

    async def prefix_quotas(self) -> Sequence[PrefixQuota]:
        """raftkv's: what is bounded below which prefix, and how much of it is used."""
        method, request = _QUOTAS + "List", PrefixQuotaListRequest()
        return (await self._calls.read(method, request, PrefixQuotaResponse)).quotas

    async def set_prefix_quota(
        self, prefix: bytes, *, bytes_max: int = 0, keys_max: int = 0
    ) -> Sequence[PrefixQuota]:
        """Bound the keys below ``prefix``, and the bytes of keys and values; 0 is no such bound,
        and two of them are no quota any more. Raises NotCapable beside members of 0.1."""
        request = PrefixQuotaRequest(prefix=prefix, bytes_max=bytes_max, keys_max=keys_max)
        return (await self._calls.write(_QUOTAS + "Set", request, PrefixQuotaResponse)).quotas

    async def defragment(self, endpoint: str = "") -> None:
        """Have a member give free room of its database's file back."""
        request = api.DefragmentRequest()
        method = _MAINTENANCE + "Defragment"
        await self._calls.write(method, request, api.DefragmentResponse, at=endpoint)

    async def move_leader(self, target: int, endpoint: str = "") -> None:
        """Ask the leader to hand over to the member ``target``. Raises NotLeader when the member
        that is asked does not lead, and BadLeaderTransferee."""
        request = api.MoveLeaderRequest(targetID=target)
        method = _MAINTENANCE + "MoveLeader"
        await self._calls.write(method, request, api.MoveLeaderResponse, at=endpoint)

    async def downgrade(
        self, action: api.DowngradeRequest.DowngradeAction.ValueType, version: str = ""
    ) -> api.DowngradeResponse:
        """Validate, enable or cancel. Raises WrongDowngradeVersion, InvalidDowngradeTarget and
        DowngradeInProcess."""
        request = api.DowngradeRequest(action=action, version=version)
        method = _MAINTENANCE + "Downgrade"
        return await self._calls.write(method, request, api.DowngradeResponse)

    async def snapshot(self, path: str, options: SaveOptions | None = None) -> int:
        """Save the database of the member in use to ``path``, as `etcdctl snapshot save` does;
        the file's size. A stream that breaks is taken up where it was. Raises Corrupt when what
        came fails its checksum."""
        chosen = options or SaveOptions()
        return await self._calls.signed(
            lambda carried: save(
                self._endpoints.channel(),
                path,
                chosen,
                carried,
                pause=self._calls.pause,
                back_off=self._calls.back_off,
            )
        )
