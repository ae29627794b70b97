"""One more member: added, started with nothing, and measured until it has what the others have.

Owns: adding it and taking it out again. Must never do: leave the cluster larger than it was.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from benchmarks.filling import PREFIX, VALUE_BYTES, check, fill
from benchmarks.footprint import cpu_seconds
from benchmarks.measurement import Better, Measurement, Metric
from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster
from tests.e2e.waiting import TimedOut, wait_until

R = TypeVar("R", bound=Message)

CLUSTER = "/etcdserverpb.Cluster/"
UNHEALTHY = "etcdserver: unhealthy cluster"
CALL_SECONDS_MAX = 30.0
HEALTHY_SECONDS_MAX = 30.0
JOIN_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Joined:
    """From the start of the new member's process until it has the leader's revision."""

    seconds: float
    cpu_seconds: float
    """Of the new member."""


def join(cluster: Cluster) -> Joined:
    """Raises TimedOut and grpc.RpcError."""
    leader = cluster.leader()
    api = cluster.api(leader)
    place = cluster.newcomer()
    added = _once_healthy(
        api,
        "MemberAdd",
        pb.MemberAddRequest(peerURLs=[place.peer_url]),
        pb.MemberAddResponse,
    )
    before = list(cluster.members)
    urls = {member.name: member.addresses.peer_url for member in before}
    urls[place.name] = place.peer_url
    initial = ",".join(f"{name}={url}" for name, url in urls.items())
    began = time.perf_counter()
    newcomer = cluster.join(place, initial)
    # Not the cluster's: that one would be kept for the next newcomer of this name.
    newcomer_api = Api(newcomer.endpoint)
    try:
        wait_until(
            lambda: _revision(newcomer_api) >= _revision(api) > 0,
            "the new member has what the others have",
            seconds=JOIN_SECONDS_MAX,
        )
        joined = Joined(time.perf_counter() - began, cpu_seconds(newcomer))
        remove = pb.MemberRemoveRequest(ID=added.member.ID)
        survivor = cluster.api(next(one for one in cluster.members if one is not newcomer))
        _once_healthy(survivor, "MemberRemove", remove, pb.MemberRemoveResponse)
    except TimedOut as error:
        raise TimedOut(f"{error}\n{newcomer.log_tail()}") from None
    finally:
        newcomer_api.close()
        newcomer.kill()
        # The next newcomer has the same name, and must not find what a removed member left.
        shutil.rmtree(newcomer.data_dir, ignore_errors=True)
        cluster.members = before
    return joined


def _once_healthy(api: Api, method: str, request: Message, response: type[R]) -> R:
    """The answer, as soon as the members have seen each other for long enough: right after a start
    etcd changes no membership."""
    call = api.unary(CLUSTER + method, response)

    def ask() -> R | None:
        try:
            return call(request, timeout=CALL_SECONDS_MAX)
        except grpc.RpcError as error:
            if error.details() == UNHEALTHY:
                return None
            raise

    return wait_until(
        ask, f"the cluster is healthy enough for {method}", seconds=HEALTHY_SECONDS_MAX
    )


def _revision(api: Api) -> int:
    """What the member itself has applied; 0 while it does not say."""
    try:
        return int(api.range(b"\0", serializable=True).header.revision)
    except grpc.RpcError:
        return 0


@dataclass(frozen=True, slots=True)
class JoinWork:
    """A fourth member joins a store of many keys."""

    keys: int
    group: str = "recovery"

    @property
    def name(self) -> str:
        return f"a new member catches up, {self.keys:,} keys of {VALUE_BYTES} B"

    def measure(self, cluster: Cluster) -> Measurement:
        api = cluster.api(cluster.leader())
        if api.range(PREFIX, PREFIX[:-1] + b"0", count_only=True).count != self.keys:
            fill(api, 0, self.keys)
        check(api, self.keys)
        return Measurement({Metric("time", "s", Better.LOWER): join(cluster).seconds})
