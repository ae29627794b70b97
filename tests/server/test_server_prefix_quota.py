"""Quotas of prefixes in a cluster: members that die, fall behind and come back count alike."""

from __future__ import annotations

from raftkv.api.prefix_quota_pb2 import PrefixQuotaRequest
from raftkv.api.rpc_pb2 import DeleteRangeRequest, PutRequest
from raftkv.apply.batch import RequestKind
from raftkv.errors import PrefixFull, RaftKVError
from raftkv.mvcc.prefix_quota import PrefixQuota
from raftkv.simulation.cluster import SimulatedCluster
from tests.server.growing_cluster import cluster_of, leader_of, same_everywhere

KEYS_MAX = 20


def ask(cluster: SimulatedCluster, kind: RequestKind, payload: bytes) -> object:
    answers: list[object] = []
    leader_of(cluster).running.member.propose(kind, payload, answers.append)
    assert cluster.scheduler.run_until(lambda: bool(answers), within_s=20)
    return answers[0]


def put(cluster: SimulatedCluster, key: bytes) -> object:
    return ask(cluster, RequestKind.PUT, PutRequest(key=key, value=b"v").SerializeToString())


def counts(cluster: SimulatedCluster) -> list[list[PrefixQuota]]:
    return [process.member.store.prefix_quotas.rows() for process in cluster.running]


def test_members_count_alike_whatever_happens_to_them() -> None:
    """A follower sleeps through a snapshot and its disk's power is cut; the leader dies. Each time
    the quota is as full as it was, on all three."""
    cluster = cluster_of(3)
    quota = PrefixQuotaRequest(prefix=b"t/", keys_max=KEYS_MAX)
    assert not isinstance(
        ask(cluster, RequestKind.PREFIX_QUOTA, quota.SerializeToString()), RaftKVError
    )
    asleep = next(m for m in cluster.machines if m is not leader_of(cluster))
    asleep.kill(power=True)
    for number in range(KEYS_MAX):
        assert not isinstance(put(cluster, b"t/%d" % number), RaftKVError)
        for filler in range(3):
            put(cluster, b"elsewhere/%d" % filler)
    assert isinstance(put(cluster, b"t/more"), PrefixFull)
    asleep.start()
    same_everywhere(cluster)
    size = sum(len(b"t/%dv" % number) for number in range(KEYS_MAX))
    assert counts(cluster) == [[PrefixQuota(b"t/", 0, KEYS_MAX, size, KEYS_MAX)]] * 3
    dying = leader_of(cluster)
    dying.kill(power=True)
    assert isinstance(put(cluster, b"t/more"), PrefixFull)
    doomed = DeleteRangeRequest(key=b"t/0").SerializeToString()
    assert not isinstance(ask(cluster, RequestKind.DELETE_RANGE, doomed), RaftKVError)
    assert not isinstance(put(cluster, b"t/more"), RaftKVError)
    dying.start()
    same_everywhere(cluster)
    (mine, *others) = counts(cluster)
    assert mine[0].keys == KEYS_MAX
    assert others == [mine, mine]
