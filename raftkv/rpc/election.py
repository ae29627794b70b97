"""v3electionpb.Election: Campaign, Proclaim, Leader, Observe and Resign.

Owns: the five calls. The leader is the first in line; its key's value is what it proclaims, and
its create_revision the proof that it still leads. Must never do: keep who leads in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from raftkv.api import rpc_pb2 as api
from raftkv.api import v3election_pb2 as election_api
from raftkv.api.kv_pb2 import KeyValue
from raftkv.apply.state import parse
from raftkv.errors import (
    MalformedRequest,
    MissingLeaderKey,
    NoElectionLeader,
    NotElected,
    SessionExpired,
)
from raftkv.rpc.errors import status_of
from raftkv.rpc.line import Line, first_in_line, is_delete, owner_only, session
from raftkv.rpc.member import Led
from raftkv.rpc.own_calls import Caller, OwnCalls
from raftkv.rpc.stream_admission import admitted_stream
from raftkv.rpc.unary import admitted
from raftkv.rpc.waiting_calls import WaitingCalls
from raftkv.wire.service import Service, Stream, UnaryCall


def election_service(member: Led, own: OwnCalls) -> Service:
    waiting = WaitingCalls()
    election = _Election(own, waiting)
    methods = {
        "Campaign": waiting.serve(election.campaign),
        "Proclaim": waiting.serve(election.proclaim),
        "Leader": waiting.serve(election.leader),
        "Resign": waiting.serve(election.resign),
    }

    return Service(
        "v3electionpb.Election",
        status_of,
        unary=admitted(member, methods),
        streams={"Observe": admitted_stream(member, election.observe)},
    )


class _Election:
    def __init__(self, own: OwnCalls, waiting: WaitingCalls) -> None:
        self._own = own
        self._waiting = waiting

    async def campaign(self, payload: bytes, call: UnaryCall) -> bytes:
        request = parse(election_api.CampaignRequest, payload)
        caller = self._own.on_behalf_of(call)
        async with session(caller, request.lease, self._waiting) as lease:
            line = Line(caller, request.name, lease)
            try:
                place = await line.enter(request.value)
                if place.kv is not None and place.kv.value != request.value:
                    leader = election_api.LeaderKey(
                        key=line.key, rev=place.create_revision, lease=lease
                    )
                    await _proclaim(caller, leader, request.value)
                if not place.is_first:
                    await line.wait(place)
            except SessionExpired:
                raise NotElected("the candidate's key is gone") from None
            except BaseException:
                self._waiting.afterwards(line.leave)
                raise
        leader = election_api.LeaderKey(
            name=request.name, key=line.key, rev=place.create_revision, lease=lease
        )
        response = election_api.CampaignResponse(header=place.header, leader=leader)
        return response.SerializeToString()

    async def proclaim(self, payload: bytes, call: UnaryCall) -> bytes:
        request = parse(election_api.ProclaimRequest, payload)
        if not request.HasField("leader"):
            raise MissingLeaderKey("who proclaims?")
        caller, leader = self._own.on_behalf_of(call), request.leader
        async with session(caller, leader.lease, self._waiting) as lease:
            leader.lease = lease
            header = await _proclaim(caller, leader, request.value)
        return election_api.ProclaimResponse(header=header).SerializeToString()

    async def leader(self, payload: bytes, call: UnaryCall) -> bytes:
        request = parse(election_api.LeaderRequest, payload)
        found = await self._own.on_behalf_of(call).range(first_in_line(request.name + b"/"))
        if not found.kvs:
            raise NoElectionLeader("nobody stands in line")
        return _told(found.header, found.kvs[0])

    async def resign(self, payload: bytes, call: UnaryCall) -> bytes:
        """Who does not lead any more has nothing to resign from: no error, as in etcd."""
        request = parse(election_api.ResignRequest, payload)
        if not request.HasField("leader"):
            raise MissingLeaderKey("who resigns?")
        key = request.leader.key
        delete = api.RequestOp(request_delete_range=api.DeleteRangeRequest(key=key))
        caller = self._own.on_behalf_of(call)
        done = await caller.txn(owner_only(key, request.leader.rev, delete))
        return election_api.ResignResponse(header=done.header).SerializeToString()

    async def observe(self, stream: Stream) -> None:
        """The present leader and all that come, with what they proclaim."""
        request = parse(election_api.LeaderRequest, await _first_message(stream))
        caller, prefix = self._own.on_behalf_of(stream), request.name + b"/"
        while True:
            found = await caller.range(first_in_line(prefix))
            revision = found.header.revision
            if found.kvs:
                stream.send(_told(found.header, found.kvs[0]))
                await stream.drain()
                await self._follow(caller, stream, found.kvs[0].key, revision)
            else:
                await _until_somebody_stands(caller, prefix, revision)

    async def _follow(self, caller: Caller, stream: Stream, key: bytes, revision: int) -> None:
        """What the leader proclaims, until its key is deleted or must be looked for again."""
        create = api.WatchCreateRequest(key=key, start_revision=revision + 1)
        async with caller.watch(create) as responses:
            async for response in responses:
                for event in response.events:
                    if is_delete(event):
                        return
                    stream.send(_told(response.header, event.kv))
                    await stream.drain()
                if response.canceled:
                    return


async def _proclaim(
    caller: Caller, leader: election_api.LeaderKey, value: bytes
) -> api.ResponseHeader:
    put = api.PutRequest(key=leader.key, value=value, lease=leader.lease)
    operation = api.RequestOp(request_put=put)
    done = await caller.txn(owner_only(leader.key, leader.rev, operation))
    if not done.succeeded:
        raise NotElected("the leader's key is gone, or another one's")
    return done.header


async def _until_somebody_stands(caller: Caller, prefix: bytes, revision: int) -> None:
    whole_line = first_in_line(prefix)
    create = api.WatchCreateRequest(
        key=whole_line.key,
        range_end=whole_line.range_end,
        start_revision=revision + 1,
        filters=[api.WatchCreateRequest.NODELETE],
    )
    async with caller.watch(create) as responses:
        async for response in responses:
            if response.events or response.canceled:
                return


async def _first_message(stream: AsyncIterator[bytes] | Stream) -> bytes:
    async for payload in stream:
        return payload
    raise MalformedRequest("the call ended without a request")


def _told(header: api.ResponseHeader, kv: KeyValue) -> bytes:
    return election_api.LeaderResponse(header=header, kv=kv).SerializeToString()
