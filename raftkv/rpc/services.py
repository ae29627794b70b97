"""All services of a member, as a mount takes them.

Owns: which services there are. Must never do: serve them; ``raftkv.wire`` does, and the grpcio
mount of the tests.
"""

from __future__ import annotations

from raftkv.rpc.auth import auth_service
from raftkv.rpc.cluster import cluster_service
from raftkv.rpc.health import Health
from raftkv.rpc.kv import kv_service
from raftkv.rpc.lease import lease_service
from raftkv.rpc.maintenance import maintenance_service
from raftkv.rpc.watch import watch_service
from raftkv.server.member import Member
from raftkv.wire.service import Service


def services_of(member: Member, health: Health) -> tuple[Service, ...]:
    return (
        kv_service(member),
        watch_service(member),
        lease_service(member),
        maintenance_service(member),
        cluster_service(member),
        auth_service(member),
        health.service(),
    )
