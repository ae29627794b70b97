"""What the version before finds when it takes a member's place: nothing that it does not know.

From the moment that a member says that it may be replaced it can be killed (kill -9), and 0.1 go on
from its last commit: what the log holds behind that, and all that comes later, has to be 0.1's.
"""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from raftkv.apply.batch import RequestKind, decode_batch
from raftkv.apply.behalf import decode_as_member, decode_as_user
from raftkv.apply.level import LEVEL_0_1, LEVEL_0_2, OWN_LEVEL
from raftkv.apply.member_change import MemberAction, MemberStep
from raftkv.apply.space import encode_quota
from raftkv.errors import DowngradeInProcess, RaftKVError
from raftkv.peer.offer import Offer
from raftkv.raft.message import EntryType, Message, MessageType
from raftkv.server.applied_state import AppliedState
from raftkv.server.quota import QuotaKeeper
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import MemberProcess
from tests.e2e.program import RELEASES

LONG_S = 30.0


def kinds_of_0_1() -> frozenset[int]:
    """The numbers of RequestKind, as the released 0.1.0 has them."""
    with zipfile.ZipFile(RELEASES / "raftkv-0.1.0.zip") as release:
        module = ast.parse(release.read("raftkv/apply/batch.py"))
    kinds = next(n for n in module.body if isinstance(n, ast.ClassDef) and n.name == "RequestKind")
    values = [
        n.value.value
        for n in kinds.body
        if isinstance(n, ast.Assign | ast.AnnAssign) and isinstance(n.value, ast.Constant)
    ]
    return frozenset(value for value in values if isinstance(value, int))


KNOWN = kinds_of_0_1()


@pytest.fixture
def cluster() -> Iterator[SimulatedCluster]:
    """Of this version, and at its level."""
    cluster = SimulatedCluster(seed=11)
    cluster.start_all()
    assert cluster.scheduler.run_until(lambda: levels(cluster) == {LEVEL_0_2}, within_s=LONG_S)
    cluster.scheduler.run_for(LONG_S)
    cluster.settle()
    yield cluster
    cluster.stop_all()


def levels(cluster: SimulatedCluster) -> set[int]:
    return {process.member.maintenance.upgrade.level.current for process in cluster.running}


def leader(cluster: SimulatedCluster) -> MemberProcess:
    return cluster.wait_for_leader().running


def propose(process: MemberProcess, kind: RequestKind) -> None:
    """What only 0.2 knows, as the leader's own parts ask for it."""
    payload = encode_quota(process.member.node.term, 1 << 30)
    process.member.maintenance._propose(kind, payload, lambda outcome: None)


def lower(process: MemberProcess) -> list[RaftKVError | None]:
    told: list[RaftKVError | None] = []
    process.member.maintenance.upgrade.lower(told.append)
    return told


def states_when_ready(cluster: SimulatedCluster) -> dict[int, AppliedState]:
    """What is durable in each member's database at the moment it may be replaced."""
    found: dict[int, AppliedState] = {}

    def all_are() -> bool:
        for process in cluster.running:
            me = process.foundation.member_id
            if me not in found and process.member.status().downgrade_version == "0.1":
                found[me] = process.member._engine.committer.committed
        return len(found) == len(cluster.machines)

    assert cluster.scheduler.run_until(all_are, within_s=LONG_S), found
    return found


def unknown_to_0_1(cluster: SimulatedCluster, state: AppliedState) -> list[tuple[int, int]]:
    """Index and kind of what 0.1 would stop at if it went on from ``state``. As it does, batches
    that came before a later one of their origin are passed over."""
    node, sequences = leader(cluster).member.node, dict(state.sequences)
    found = []
    for index in range(state.index + 1, node.last_index + 1):
        entry = node.entry(index)
        assert entry is not None, index
        if entry.type is EntryType.CONF_CHANGE or not entry.data:
            continue
        batch = decode_batch(entry.data)
        if batch.sequence <= sequences.get(batch.origin, 0):
            continue
        sequences[batch.origin] = batch.sequence
        found += [
            (index, kind)
            for kind, payload in batch.requests
            if {kind, inner(kind, payload)} - KNOWN
        ]
    return found


def inner(kind: int, payload: bytes) -> int:
    if kind == RequestKind.AS_MEMBER:
        return decode_as_member(payload)[0]
    return decode_as_user(payload)[1] if kind == RequestKind.AS_USER else kind


def test_what_0_1_knows() -> None:
    """The list that the tests judge by."""
    assert RequestKind.PUT in KNOWN
    assert RequestKind.AS_MEMBER in KNOWN
    assert not {RequestKind.CLUSTER_LEVEL, RequestKind.SPACE_BEGIN} & KNOWN


@pytest.mark.parametrize("what", ["SPACE_BEGIN", "STATE_ORIGIN", "lower"])
def test_what_was_asked_for_before_the_lowering_and_comes_late(
    cluster: SimulatedCluster, what: str
) -> None:
    """A member's request of the time before, forwarded to the leader and long under way: by one
    that led and leads no more, or that an operator asked to lower the level, too."""
    process = leader(cluster)
    other = next(each for each in cluster.running if each is not process)
    late = catch_proposal(cluster, other)
    if what == "lower":
        lower(other)
    else:
        propose(other, RequestKind[what])
    assert cluster.scheduler.run_until(lambda: bool(late), within_s=LONG_S)
    cluster.network.heal()
    lower(process)
    states = states_when_ready(cluster)
    before = process.member.node.last_index
    process.receive(late[0])
    assert_0_1_can_go_on(cluster, states)
    assert process.member.node.last_index > before, "the request never came"


def test_nobody_lowers_by_what_was_answered_before(cluster: SimulatedCluster) -> None:
    """The members' answers come when the level has been lowered by another: its entry would come
    when a member may be 0.1 already."""
    process = leader(cluster)
    other = next(each for each in cluster.running if each is not process)
    held: list[Callable[[], None]] = []
    links = other.member._engine.transport
    links.ask_offer = lambda peer, done: held.append(  # type: ignore[method-assign]
        lambda: done(Offer(OWN_LEVEL, OWN_LEVEL, OWN_LEVEL))
    )
    told = lower(other)
    lower(process)
    states = states_when_ready(cluster)
    for answer in held:
        answer()
    assert_0_1_can_go_on(cluster, states)
    assert [type(error) for error in told] == [DowngradeInProcess]


def test_a_barrier_that_is_lost_is_sent_again(cluster: SimulatedCluster) -> None:
    """With its sender, which is killed, and until it is back nobody may be replaced."""
    process = leader(cluster)
    other = next(each for each in cluster.machines if each.process not in (process, None))
    late = catch_proposal(cluster, other.running)
    lower(process)
    assert cluster.scheduler.run_until(lambda: bool(late), within_s=LONG_S)
    other.kill()
    cluster.network.heal()
    cluster.scheduler.run_for(LONG_S)
    assert all(p.member.status().downgrade_version == "" for p in cluster.running)
    assert other.start()
    assert_0_1_can_go_on(cluster, states_when_ready(cluster))


def test_who_was_removed_is_not_waited_for(cluster: SimulatedCluster) -> None:
    """A member that will not come back: an operator takes it out."""
    process = leader(cluster)
    other = next(each for each in cluster.machines if each.process not in (process, None))
    late = catch_proposal(cluster, other.running)
    lower(process)
    assert cluster.scheduler.run_until(lambda: bool(late), within_s=LONG_S)
    other.kill()
    cluster.network.heal()
    done: list[object] = []
    process.member.change_members([MemberStep(MemberAction.REMOVE, other.member_id)], done.append)
    assert cluster.scheduler.run_until(lambda: bool(done), within_s=LONG_S)
    cluster.machines.remove(other)
    assert_0_1_can_go_on(cluster, states_when_ready(cluster))


def test_a_measurement_that_the_lowering_overtakes_is_dropped(cluster: SimulatedCluster) -> None:
    """It would end in a SPACE_BASE, asked for behind the leader's barrier."""
    process = leader(cluster)
    store, asked = process.member.store, list[int]()
    keeper = QuotaKeeper(
        store=store,
        applier=process.member._engine.applier,
        quota=1,
        office=lambda: process.member.node.term,
        propose=lambda kind, payload, done: asked.append(kind),
        schedule=lambda: None,
    )
    store.ledger.begin(store.current_revision, store.compact_revision, 1)
    keeper.look()
    assert keeper.is_waiting
    level = keeper._level
    level.row = replace(level.row, level=LEVEL_0_1)
    keeper.step(1_000)
    assert not keeper.is_waiting
    assert asked == []


def catch_proposal(cluster: SimulatedCluster, sender: MemberProcess) -> list[Message]:
    """The next request that it forwards does not arrive: it is here instead."""
    caught: list[Message] = []

    def seen(message: Message) -> None:
        is_it = message.type is MessageType.PROP and message.sender == sender.foundation.member_id
        if is_it and not caught:
            caught.append(message)
            cluster.network.isolate(message.sender)

    cluster.network.seen = seen
    return caught


def assert_0_1_can_go_on(cluster: SimulatedCluster, states: dict[int, AppliedState]) -> None:
    cluster.scheduler.run_for(LONG_S)
    cluster.settle()
    found = {member: unknown_to_0_1(cluster, state) for member, state in states.items()}
    assert not any(found.values()), found
