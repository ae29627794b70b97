"""All services of a member, as a mount takes them.

Owns: which services there are. Must never do: serve them; ``raftkv.wire`` does, and the grpcio
mount of the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from raftkv.rpc.api_version import vet_api_version
from raftkv.rpc.auth import auth_service
from raftkv.rpc.cluster import cluster_service
from raftkv.rpc.election import election_service
from raftkv.rpc.health import Health
from raftkv.rpc.kv import kv_service
from raftkv.rpc.lease import lease_service
from raftkv.rpc.lock import lock_service
from raftkv.rpc.maintenance import maintenance_service
from raftkv.rpc.membership import membership_service
from raftkv.rpc.own_calls import OwnCalls
from raftkv.rpc.prefix_quota import prefix_quota_service
from raftkv.rpc.reflection import with_reflection
from raftkv.rpc.watch import watch_service
from raftkv.server.member import Member
from raftkv.wire.service import Service

Watched = Callable[[Service], Service]
"""Puts who is told of calls between a service and whoever calls it."""


def services_of(
    member: Member, health: Health, watched: Watched = lambda service: service
) -> tuple[Service, ...]:
    """What locks and elections do in the key space is told as other calls are."""
    made = (kv_service(member), watch_service(member), lease_service(member))
    kv, watch, lease = map(watched, made)
    own = OwnCalls((kv, watch, lease))
    others = (
        maintenance_service(member),
        cluster_service(member),
        membership_service(member),
        prefix_quota_service(member),
        auth_service(member),
        lock_service(member, own),
        election_service(member, own),
        health.service(),
    )
    services = with_reflection((kv, watch, lease, *map(watched, others)))
    return tuple(replace(service, vet=vet_api_version) for service in services)
