"""The client: etcd's v3 calls as methods, for raftkv and etcd alike.

Owns: the public face. Must never do: hide an error, or repeat a write that may have happened.

    async with Client(["127.0.0.1:2379", "127.0.0.1:22379"]) as client:
        await client.put("k", "v")
        async for event in client.watch("k").events():
            ...
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType

from raftkv.api import rpc_pb2 as api
from raftkv.api.kv_pb2 import KeyValue
from raftkv.client.auth import Auth
from raftkv.client.calls import Calls, RetryPolicy
from raftkv.client.endpoints import Endpoints
from raftkv.client.lease import KeptLease
from raftkv.client.login import Login
from raftkv.client.snapshot import save
from raftkv.client.txn import Text, Txn, encoded
from raftkv.client.watch import Watch
from raftkv.errors import RaftKVError

_KV = "/etcdserverpb.KV/"
_CLUSTER = "/etcdserverpb.Cluster/"
_MAINTENANCE = "/etcdserverpb.Maintenance/"
_LEASE = "/etcdserverpb.Lease/"


class Client:
    """Use it as an async context manager, from one event loop."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        policy: RetryPolicy | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        user: str = "",
        password: str = "",
    ) -> None:
        """With ``user``, the first call logs in, and whichever finds its token ended, again."""
        self._endpoints = Endpoints(endpoints)
        self._policy = policy or RetryPolicy()
        login = Login(user, password) if user else None
        self._calls = Calls(self._endpoints, self._policy, pause=pause, chance=chance, login=login)
        self.auth = Auth(self._calls)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._endpoints.close()

    # --- reading ---

    async def get(
        self, key: Text, *, revision: int = 0, serializable: bool = False
    ) -> KeyValue | None:
        """The key's newest version, or the one at ``revision``; None when there is none."""
        request = api.RangeRequest(key=encoded(key), revision=revision, serializable=serializable)
        reply = await self.range(request)
        return reply.kvs[0] if reply.kvs else None

    async def list(self, prefix: Text, *, revision: int = 0, limit: int = 0) -> api.RangeResponse:
        """Every key that starts with ``prefix``, in order."""
        key = encoded(prefix)
        return await self.range(
            api.RangeRequest(
                key=key or b"\0", range_end=prefix_end(key), revision=revision, limit=limit
            )
        )

    async def range(self, request: api.RangeRequest) -> api.RangeResponse:
        """A RangeRequest with all its options. Raises Compacted and FutureRevision."""
        return await self._calls.read(_KV + "Range", request, api.RangeResponse)

    # --- writing ---

    async def put(
        self, key: Text, value: Text, *, lease: int = 0, prev_kv: bool = False
    ) -> api.PutResponse:
        """Raises MaybeExecuted, as every write does, when its fate is unknown."""
        request = api.PutRequest(
            key=encoded(key), value=encoded(value), lease=lease, prev_kv=prev_kv
        )
        return await self._calls.write(_KV + "Put", request, api.PutResponse)

    async def delete(
        self, key: Text, *, range_end: Text = b"", prev_kv: bool = False
    ) -> api.DeleteRangeResponse:
        request = api.DeleteRangeRequest(
            key=encoded(key), range_end=encoded(range_end), prev_kv=prev_kv
        )
        return await self._calls.write(_KV + "DeleteRange", request, api.DeleteRangeResponse)

    async def txn(self, txn: Txn) -> api.TxnResponse:
        return await self._calls.write(_KV + "Txn", txn.request, api.TxnResponse)

    async def compact(self, revision: int, *, physical: bool = False) -> api.CompactionResponse:
        request = api.CompactionRequest(revision=revision, physical=physical)
        return await self._calls.write(_KV + "Compact", request, api.CompactionResponse)

    # --- watching ---

    def watch(
        self, key: Text, *, range_end: Text = b"", start_revision: int = 0, prev_kv: bool = False
    ) -> Watch:
        """From ``start_revision``, or from now on. See Watch for what it raises."""
        create = api.WatchCreateRequest(
            key=encoded(key),
            range_end=encoded(range_end),
            start_revision=start_revision,
            prev_kv=prev_kv,
        )
        return Watch(self._endpoints, self._calls, create, self._policy.tries_max)

    # --- leases ---

    async def grant(self, ttl_s: int, *, lease_id: int = 0) -> api.LeaseGrantResponse:
        """The answer's TTL may be longer than asked for; id 0 has the server choose one."""
        request = api.LeaseGrantRequest(TTL=ttl_s, ID=lease_id)
        return await self._calls.write(_LEASE + "LeaseGrant", request, api.LeaseGrantResponse)

    async def revoke(self, lease_id: int) -> api.LeaseRevokeResponse:
        """End the lease and delete its keys. Raises LeaseNotFound."""
        request = api.LeaseRevokeRequest(ID=lease_id)
        return await self._calls.write(_LEASE + "LeaseRevoke", request, api.LeaseRevokeResponse)

    def keep_alive(self, granted: api.LeaseGrantResponse) -> KeptLease:
        """Renew the lease in the background. See KeptLease for how its loss is told."""
        return KeptLease(self._endpoints, self._calls, granted.ID, granted.TTL)

    async def time_to_live(
        self, lease_id: int, *, keys: bool = False
    ) -> api.LeaseTimeToLiveResponse:
        """TTL is -1 for a lease that there is not."""
        request = api.LeaseTimeToLiveRequest(ID=lease_id, keys=keys)
        method = _LEASE + "LeaseTimeToLive"
        return await self._calls.read(method, request, api.LeaseTimeToLiveResponse)

    async def leases(self) -> api.LeaseLeasesResponse:
        request = api.LeaseLeasesRequest()
        return await self._calls.read(_LEASE + "LeaseLeases", request, api.LeaseLeasesResponse)

    # --- the cluster ---

    async def status(self) -> api.StatusResponse:
        """Of the member that answers."""
        return await self._calls.read(
            _MAINTENANCE + "Status", api.StatusRequest(), api.StatusResponse
        )

    async def hash_kv(self, revision: int = 0) -> api.HashKVResponse:
        request = api.HashKVRequest(revision=revision)
        return await self._calls.read(_MAINTENANCE + "HashKV", request, api.HashKVResponse)

    async def alarms(self) -> Sequence[api.AlarmMember]:
        """What is wrong, as far as the cluster has been told."""
        reply = await self._calls.read(
            _MAINTENANCE + "Alarm", api.AlarmRequest(), api.AlarmResponse
        )
        return reply.alarms

    async def disarm(self, alarm: api.AlarmMember) -> api.AlarmResponse:
        """Say that what ``alarm`` told of is right again."""
        request = api.AlarmRequest(
            action=api.AlarmRequest.DEACTIVATE, memberID=alarm.memberID, alarm=alarm.alarm
        )
        return await self._calls.write(_MAINTENANCE + "Alarm", request, api.AlarmResponse)

    async def defragment(self) -> None:
        """Have the member in use give free room of its database's file back."""
        request = api.DefragmentRequest()
        await self._calls.write(_MAINTENANCE + "Defragment", request, api.DefragmentResponse)

    async def move_leader(self, target: int) -> None:
        """Ask the leader to hand over to the member ``target``. Raises NotLeader when the member
        in use does not lead, and BadLeaderTransferee."""
        request = api.MoveLeaderRequest(targetID=target)
        await self._calls.write(_MAINTENANCE + "MoveLeader", request, api.MoveLeaderResponse)

    async def snapshot(
        self, path: str, *, progress: Callable[[int, int], None] = lambda came, size: None
    ) -> int:
        """Save the database of the member in use to ``path``, as `etcdctl snapshot save` does;
        the file's size. Raises Corrupt when what came fails its checksum."""
        carried = await self._calls.metadata()
        try:
            return await save(self._endpoints.channel(), path, progress, carried)
        except RaftKVError as error:
            if not await self._calls.renewed(error, carried):
                raise
        again = await self._calls.metadata()
        return await save(self._endpoints.channel(), path, progress, again)

    async def member_list(self) -> api.MemberListResponse:
        request = api.MemberListRequest(linearizable=True)
        return await self._calls.read(_CLUSTER + "MemberList", request, api.MemberListResponse)

    async def member_add(
        self, peer_urls: Sequence[str], *, is_learner: bool = False
    ) -> api.MemberAddResponse:
        """A member that is not there yet. Its id is in the answer. Raises what etcd names."""
        request = api.MemberAddRequest(peerURLs=peer_urls, isLearner=is_learner)
        return await self._calls.write(_CLUSTER + "MemberAdd", request, api.MemberAddResponse)

    async def member_promote(self, member_id: int) -> api.MemberPromoteResponse:
        """A learner becomes a voter. Raises LearnerNotReady while it is behind."""
        request = api.MemberPromoteRequest(ID=member_id)
        method = _CLUSTER + "MemberPromote"
        return await self._calls.write(method, request, api.MemberPromoteResponse)

    async def member_update(
        self, member_id: int, peer_urls: Sequence[str]
    ) -> api.MemberUpdateResponse:
        request = api.MemberUpdateRequest(ID=member_id, peerURLs=peer_urls)
        return await self._calls.write(_CLUSTER + "MemberUpdate", request, api.MemberUpdateResponse)

    async def member_remove(self, member_id: int) -> api.MemberRemoveResponse:
        request = api.MemberRemoveRequest(ID=member_id)
        return await self._calls.write(_CLUSTER + "MemberRemove", request, api.MemberRemoveResponse)


def prefix_end(prefix: bytes) -> bytes:
    """The range end that makes a range of all keys with ``prefix``."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return b"\0"
    return stripped[:-1] + bytes((stripped[-1] + 1,))
