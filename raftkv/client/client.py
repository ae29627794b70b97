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
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType

from raftkv.api import rpc_pb2 as api
from raftkv.api.kv_pb2 import KeyValue
from raftkv.client.auth import Auth
from raftkv.client.calls import Calls, RetryPolicy
from raftkv.client.cluster import Cluster
from raftkv.client.election import Election
from raftkv.client.endpoints import Endpoints
from raftkv.client.history import Change, Past, diff, past
from raftkv.client.keeper import LeaseKeeper, renew_once
from raftkv.client.lease import KeptLease
from raftkv.client.lock import Lock
from raftkv.client.login import Login, Metadata
from raftkv.client.maintenance import Maintenance
from raftkv.client.range_stream import range_chunks
from raftkv.client.tls import Tls
from raftkv.client.txn import Text, Txn, encoded
from raftkv.client.watch import Gap, Watch
from raftkv.errors import RaftKVError, Unavailable

_KV = "/etcdserverpb.KV/"
_LEASE = "/etcdserverpb.Lease/"


class Client:
    """Use it as an async context manager, from one event loop. Endpoints are host:port or URLs
    (http, https, unix, unixs); with ``tls`` host:port is under TLS. Raises OSError for its files.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: Tls | None = None,
        policy: RetryPolicy | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        user: str = "",
        password: str = "",
    ) -> None:
        """With ``user``, the first call logs in, and whichever finds its token ended, again."""
        self._endpoints = Endpoints(endpoints, tls)
        self._policy = policy or RetryPolicy()
        login = Login(user, password) if user else None
        self._calls = Calls(self._endpoints, self._policy, pause=pause, chance=chance, login=login)
        self._keeper = LeaseKeeper(self._endpoints, self._calls)
        self.auth = Auth(self._calls)
        self.cluster = Cluster(self._calls)
        self.maintenance = Maintenance(self._endpoints, self._calls)

    async def __aenter__(self) -> Client:
        await self._endpoints.prepare()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the renewals of leases too, not the leases."""
        await self._keeper.close()
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

    async def range_stream(self, request: api.RangeRequest) -> AsyncIterator[api.RangeResponse]:
        """The same in chunks, for long lists, from the endpoint in use; a stream that breaks
        raises, and is not begun anew. The last chunk has header, ``more`` and ``count``."""
        carried = await self._calls.metadata()
        begun = False
        try:
            async for chunk in range_chunks(self._endpoints.channel(), request, carried):
                begun = True
                yield chunk
            return
        except RaftKVError as error:
            if begun or not await self._calls.renewed(error, carried):
                raise
        renewed = await self._calls.metadata()
        async for chunk in range_chunks(self._endpoints.channel(), request, renewed):
            yield chunk

    # --- writing ---

    async def put(
        self, key: Text, value: Text, *, lease: int = 0, prev_kv: bool = False
    ) -> api.PutResponse:
        """Raises MaybeExecuted, as every write does, when its fate is unknown."""
        request = api.PutRequest(
            key=encoded(key), value=encoded(value), lease=lease, prev_kv=prev_kv
        )
        return await self.put_request(request)

    async def put_request(self, request: api.PutRequest) -> api.PutResponse:
        """A PutRequest with all its options."""
        return await self._calls.write(_KV + "Put", request, api.PutResponse)

    async def delete(
        self, key: Text, *, range_end: Text = b"", prev_kv: bool = False
    ) -> api.DeleteRangeResponse:
        request = api.DeleteRangeRequest(
            key=encoded(key), range_end=encoded(range_end), prev_kv=prev_kv
        )
        return await self.delete_request(request)

    async def delete_request(self, request: api.DeleteRangeRequest) -> api.DeleteRangeResponse:
        return await self._calls.write(_KV + "DeleteRange", request, api.DeleteRangeResponse)

    async def txn(self, txn: Txn) -> api.TxnResponse:
        return await self._calls.write(_KV + "Txn", txn.request, api.TxnResponse)

    async def read_txn(self, txn: Txn) -> api.TxnResponse:
        """A txn that only reads: it may be asked several times."""
        return await self._calls.read(_KV + "Txn", txn.request, api.TxnResponse)

    async def compact(self, revision: int, *, physical: bool = False) -> api.CompactionResponse:
        request = api.CompactionRequest(revision=revision, physical=physical)
        return await self._calls.write(_KV + "Compact", request, api.CompactionResponse)

    # --- watching ---

    def watch(
        self,
        key: Text,
        *,
        range_end: Text = b"",
        start_revision: int = 0,
        prev_kv: bool = False,
        require_leader: bool = False,
        when_compacted: Callable[[Gap], None] | None = None,
    ) -> Watch:
        """From ``start_revision``, or from now on. ``require_leader``: leave a member that has lost
        its leader. ``when_compacted`` is told what was lost, and the watch goes on; without it
        Compacted is raised. See Watch for what else it raises."""
        create = api.WatchCreateRequest(
            key=encoded(key),
            range_end=encoded(range_end),
            start_revision=start_revision,
            prev_kv=prev_kv,
        )
        return Watch(
            self._endpoints,
            self._calls,
            create,
            self._policy.tries_max,
            require_leader=require_leader,
            when_compacted=when_compacted,
        )

    async def back_off(self, attempt: int) -> None:
        """Wait as the policy says before try ``attempt`` + 1 of something."""
        await self._calls.back_off(attempt)

    # --- the past ---

    async def past(self, key: Text, range_end: Text = b"") -> Past:
        """Every version of a key, or of a range, since the last compaction."""
        return await past(self._endpoints, self._calls, self, encoded(key), encoded(range_end))

    def diff(self, first: int, last: int, key: Text, range_end: Text) -> AsyncIterator[Change]:
        """What differs between two revisions, in bounded memory. Raises Compacted."""
        return diff(self, first, last, encoded(key), encoded(range_end))

    async def revision(self) -> int:
        """The present one."""
        return (await self.range(api.RangeRequest(key=b"\0", count_only=True))).header.revision

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
        return KeptLease(self._keeper, granted.ID, granted.TTL)

    async def renew(self, lease_id: int) -> api.LeaseKeepAliveResponse:
        """Once. The answer's TTL is 0 for a lease that there is not. Raises Unavailable when no
        member answers for as long as the policy allows."""

        async def once(carried: Metadata) -> api.LeaseKeepAliveResponse:
            return await renew_once(self._endpoints, lease_id, self._policy.timeout_s, carried)

        for attempt in range(1, self._policy.tries_max):
            endpoint = self._endpoints.current
            try:
                return await self._calls.signed(once)
            except Unavailable:
                self._endpoints.move_on(endpoint)
                await self._calls.back_off(attempt)
        return await self._calls.signed(once)

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

    # --- what leases are for ---

    def lock(self, name: Text, ttl_s: int = 10) -> Lock:
        """``async with client.lock("name") as held``. See HeldLock for its fencing token."""
        return Lock(self, name, ttl_s)

    def election(self, name: Text) -> Election:
        return Election(self, name)


def prefix_end(prefix: bytes) -> bytes:
    """The range end that makes a range of all keys with ``prefix``."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return b"\0"
    return stripped[:-1] + bytes((stripped[-1] + 1,))
