"""Probes of members in trouble: what an orchestrator with usual settings would have done."""

from __future__ import annotations

import asyncio
import json

from raftkv.api.rpc_pb2 import AlarmRequest, AlarmType, PutRequest
from raftkv.apply.alarm_book import AlarmKind
from raftkv.apply.batch import RequestKind
from raftkv.gateway.member_health import MemberHealth
from raftkv.gateway.probes import DISK_STALL_MAX_S, Probes
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine
from raftkv.wire.service import HttpResponse
from tests.server.growing_cluster import cluster_of, leader_of, outcome_of

PERIOD_S = 10.0
TIMEOUT_S = 15.0
FAILURES_BEFORE_RESTART = 8
"""kubeadm's settings of etcd's liveness probe."""
TEN_MINUTES_S = 600.0
STEP_S = 0.1


async def probed(cluster: SimulatedCluster, machine: Machine, path: str) -> HttpResponse | None:
    """The answer within TIMEOUT_S of virtual time, or None."""
    probes = Probes(MemberHealth(machine.running.member))
    task = asyncio.ensure_future(probes.answer(path, as_json=True))
    for _ in range(int(TIMEOUT_S / STEP_S)):
        await asyncio.sleep(0)  # let the task go as far as it can
        if task.done():
            return task.result()
        cluster.scheduler.run_for(STEP_S)
    task.cancel()
    return None


async def restarts(cluster: SimulatedCluster, machine: Machine, seconds: float) -> int:
    """How often its livez would have had it restarted."""
    failures = count = 0
    end = cluster.scheduler.now() + seconds
    while cluster.scheduler.now() < end:
        answer = await probed(cluster, machine, "/livez")
        failures = 0 if answer is not None and answer.status == 200 else failures + 1
        if failures == FAILURES_BEFORE_RESTART:
            failures, count = 0, count + 1
        cluster.scheduler.run_for(PERIOD_S)
    return count


def reasons(answer: HttpResponse | None) -> set[str]:
    assert answer is not None
    checks = json.loads(answer.body)["checks"]
    return {check["reason"] for check in checks if not check["ok"]}


async def test_nobody_is_restarted_for_a_lost_quorum_and_a_full_store() -> None:
    """Ten minutes of both: no restart, not ready for lack of a leader; ready when that is over,
    full as it is."""
    cluster = cluster_of(3)
    survivor = leader_of(cluster)
    raised = AlarmRequest(
        action=AlarmRequest.ACTIVATE, memberID=survivor.member_id, alarm=AlarmType.NOSPACE
    ).SerializeToString()
    member = survivor.running.member
    outcome_of(cluster, lambda done: member.propose(RequestKind.ALARM, raised, done))
    assert [alarm.kind for alarm in member.maintenance.alarms()] == [AlarmKind.NOSPACE]
    others = [machine for machine in cluster.machines if machine is not survivor]
    for machine in others:
        machine.kill()
    cluster.scheduler.run_for(5.0)
    assert await restarts(cluster, survivor, TEN_MINUTES_S) == 0
    assert reasons(await probed(cluster, survivor, "/readyz")) == {"no_leader"}
    for machine in others:
        assert machine.start()
    cluster.wait_for_leader()
    cluster.settle()
    answer = await probed(cluster, survivor, "/readyz")
    assert answer is not None
    assert answer.status == 200, answer.body


async def test_a_slow_disk_restarts_nobody_and_a_dead_one_is_told() -> None:
    """Ten minutes of writes that take 30 s each; then one that never ends."""
    cluster = cluster_of(3)
    slow = leader_of(cluster)
    slow.disk_latency_s = (30.0, 31.0)
    assert await restarts(cluster, slow, TEN_MINUTES_S) == 0
    slow.disk_latency_s = (1e9, 1e9)
    put = PutRequest(key=b"k", value=b"v").SerializeToString()
    leader_of(cluster).running.member.propose(RequestKind.PUT, put, lambda outcome: None)
    cluster.scheduler.run_for(DISK_STALL_MAX_S + 60.0)
    assert reasons(await probed(cluster, slow, "/livez")) == {"disk_stalled"}
