"""The Lock and Election services by grpcio, on real members: deaths, expiry, and who goes away."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from subprocess import PIPE, Popen
from typing import Any
from urllib.request import Request, urlopen

import grpc
import pytest

from raftkv.api import rpc_pb2 as pb
from raftkv.api import v3election_pb2 as election_pb
from raftkv.api import v3lock_pb2 as lock_pb
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster
from tests.e2e.member_process import MemberProcess
from tests.e2e.waiting import wait_until

LOCK, UNLOCK = "/v3lockpb.Lock/Lock", "/v3lockpb.Lock/Unlock"
SECONDS = 60


def grant(api: Api, ttl_s: int) -> int:
    answer = api.unary("/etcdserverpb.Lease/LeaseGrant", pb.LeaseGrantResponse)(
        pb.LeaseGrantRequest(TTL=ttl_s), timeout=10
    )
    return int(answer.ID)


def ask_lock(api: Api, name: str, lease: int) -> Any:
    """The call, which may wait."""
    method: Any = api.unary(LOCK, lock_pb.LockResponse)
    return method.future(lock_pb.LockRequest(name=name.encode(), lease=lease))


def unlock(api: Api, key: bytes) -> None:
    api.unary(UNLOCK, lock_pb.UnlockResponse)(lock_pb.UnlockRequest(key=key), timeout=10)


def lock_briefly(api: Api, name: str) -> bytes:
    """The key, unless this machine is so slow that the lease expired on the way."""
    try:
        return bytes(ask_lock(api, name, grant(api, 2)).result(timeout=SECONDS).key)
    except grpc.RpcError:
        return b""


def keys(api: Api, prefix: str) -> list[bytes]:
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return [kv.key for kv in api.range(prefix.encode(), end.encode()).kvs]


def test_two_contenders_on_two_members(shared_cluster: Cluster, prefix: str) -> None:
    """The second waits on another member and gets the lock when the first lets go; one that
    cancels, or whose deadline passes, leaves no key; one whose lease expires hands over."""
    one, two = (shared_cluster.api(member) for member in shared_cluster.members[:2])
    held = ask_lock(one, prefix, grant(one, 60)).result(timeout=SECONDS)
    lease = grant(two, 60)
    waiting = ask_lock(two, prefix, lease)
    wait_until(lambda: len(keys(one, prefix + "/")) == 2, "the second stands in line")
    gone = ask_lock(two, prefix, grant(two, 60))
    wait_until(lambda: len(keys(one, prefix + "/")) == 3, "the third stands in line")
    gone.cancel()
    wait_until(lambda: len(keys(one, prefix + "/")) == 2, "the third has left")
    assert not waiting.done()
    unlock(one, held.key)
    got = waiting.result(timeout=SECONDS)
    assert got.key == prefix.encode() + b"/%x" % lease
    assert got.header.revision > held.header.revision
    unlock(two, got.key)
    brief = wait_until(lambda: lock_briefly(one, prefix), "a lock with a lease of 2 s")
    last = ask_lock(two, prefix, grant(two, 60)).result(timeout=SECONDS)
    assert last.key != brief
    assert keys(one, prefix + "/") == [last.key]
    late: Any = two.unary(LOCK, lock_pb.LockResponse)
    with pytest.raises(grpc.RpcError, match="DEADLINE_EXCEEDED"):
        late(lock_pb.LockRequest(name=prefix.encode()), timeout=0.5)
    wait_until(lambda: keys(one, prefix + "/") == [last.key], "the late one has left")


def test_a_held_lock_outlives_the_leader(new_cluster: Callable[..., Cluster]) -> None:
    """The leader dies while one holds and another waits on a follower: the lock stays held, then
    goes over; so does the leadership of an election, which an observer sees."""
    cluster = new_cluster()
    leader = cluster.leader()
    others = [cluster.api(member) for member in cluster.followers()]
    held = ask_lock(cluster.api(leader), "lock", grant(others[0], 120)).result(timeout=SECONDS)
    waiting = ask_lock(others[1], "lock", grant(others[1], 120))
    first = campaign(others[0], b"one").result(timeout=SECONDS).leader
    second = campaign(others[1], b"two")
    wait_until(lambda: len(keys(others[0], "lock/") + keys(others[0], "e/")) == 4, "all in line")
    observed = observe(others[1])
    assert next(observed).kv.value == b"one"
    leader.kill()
    cluster.leader()
    assert not waiting.done()
    retry(lambda: unlock(others[0], held.key))
    assert waiting.result(timeout=SECONDS).key != held.key
    resign = others[0].unary("/v3electionpb.Election/Resign", election_pb.ResignResponse)
    retry(lambda: resign(election_pb.ResignRequest(leader=first), timeout=10))
    assert second.result(timeout=SECONDS).leader.key != first.key
    assert next(observed).kv.value == b"two"
    follower = next(member for member in cluster.running if member is not cluster.leader())
    left = ask_lock(cluster.api(follower), "lock", 0)
    survivor = cluster.api(cluster.leader())
    wait_until(lambda: len(keys(survivor, "lock/")) == 2, "a waiter at the member that stops")
    assert follower.stop() == 0
    with pytest.raises(grpc.RpcError):
        left.result(timeout=SECONDS)
    observed.cancel()


def campaign(api: Api, value: bytes) -> Any:
    method: Any = api.unary("/v3electionpb.Election/Campaign", election_pb.CampaignResponse)
    return method.future(election_pb.CampaignRequest(name=b"e", lease=grant(api, 120), value=value))


def observe(api: Api) -> Any:
    method: Any = api.channel.unary_stream(
        "/v3electionpb.Election/Observe",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=election_pb.LeaderResponse.FromString,
    )
    return method(election_pb.LeaderRequest(name=b"e"), timeout=SECONDS)


def retry(ask: Callable[[], object]) -> None:
    """Both calls may be asked twice; right after an election one may still fail."""

    def answered() -> bool:
        try:
            ask()
        except grpc.RpcError:
            return False
        return True

    wait_until(answered, "a member answers after the election")


def test_etcdctl_and_json_stand_in_the_same_line(
    shared_cluster: Cluster, member: MemberProcess, prefix: str
) -> None:
    """etcdctl's own lock waits for one that was taken by POST /v3/lock/lock, and the reverse."""
    name = b64encode(prefix.encode()).decode()
    key = post(member, "lock/lock", {"name": name})["key"]
    waiting = shared_cluster.ctl(member).command("lock", prefix, "echo", "mine")
    api = shared_cluster.api(member)
    with Popen(waiting, stdout=PIPE, text=True) as process:
        wait_until(lambda: len(keys(api, prefix + "/")) == 2, "etcdctl stands in line")
        post(member, "lock/unlock", {"key": key})
        assert process.communicate(timeout=SECONDS)[0] == "mine\n"
    assert keys(api, prefix + "/") == []
    leader = post(member, "election/campaign", {"name": name, "value": "dg=="})["leader"]
    found = post(member, "election/leader", {"name": name})
    assert (found["kv"]["key"], found["kv"]["value"]) == (leader["key"], "dg==")
    post(member, "election/proclaim", {"leader": leader, "value": "dw=="})
    assert post(member, "election/leader", {"name": name})["kv"]["value"] == "dw=="
    post(member, "election/resign", {"leader": leader})
    assert keys(api, prefix + "/") == []


def post(member: MemberProcess, path: str, body: object) -> Any:
    url = f"{member.addresses.client_url}/v3/{path}"
    with urlopen(Request(url, json.dumps(body).encode()), timeout=SECONDS) as answer:
        return json.loads(answer.read())
