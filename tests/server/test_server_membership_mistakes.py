"""Classic mistakes with members, none of which costs the quorum; docs/membership.md lists them."""

from __future__ import annotations

import pytest

from raftkv.errors import UnhealthyCluster
from raftkv.server.change_request import ChangeKind, ChangeRequest
from raftkv.server.status import MemberInfo
from tests.server import mistakes_adding, mistakes_removing, mistakes_starting
from tests.server.growing_cluster import (
    ask,
    cluster_of,
    follower_of,
    leader_of,
    look,
    remove,
    voters_of,
    write,
)
from tests.server.membership_mistakes import NOTICED_S, NOWHERE, Scenario, down
from tests.tidy.source_text import ROOT

FILES = (mistakes_adding, mistakes_starting, mistakes_removing)
SCENARIOS = [scenario for file in FILES for scenario in file.mistake.scenarios]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_mistake_does_not_cost_the_quorum(scenario: Scenario) -> None:
    """Whatever the operator did, a put is acknowledged afterwards."""
    cluster = scenario()
    write(cluster, 3)


def test_the_list_is_documented() -> None:
    """Every scenario stands in the document by its name."""
    text = (ROOT / "docs" / "membership.md").read_text()
    missing = [one.__name__ for one in SCENARIOS if f"`{one.__name__}`" not in text]
    assert not missing, missing
    assert len(SCENARIOS) == 32


def test_etcds_way_is_a_flag_away() -> None:
    """--auto-promote-learners=none: a plain add is a vote at once, and a wrong URL costs it."""
    cluster = cluster_of(1, auto_promote="none")
    desk = leader_of(cluster).running.member.membership
    assert desk.kind_of_addition(is_learner=False) is ChangeKind.ADD
    row = ask(cluster, ChangeRequest(ChangeKind.ADD, peer_urls=NOWHERE))
    assert isinstance(row, MemberInfo)
    assert not row.is_learner
    cluster.scheduler.run_for(NOTICED_S)
    assert cluster.leader() is None, "two votes, one of them nowhere"


def test_unsafe_is_asked_for_in_so_many_words() -> None:
    """The same removal that is refused is made, and what it costs is told before."""
    cluster = cluster_of(3)
    down(cluster)
    healthy = follower_of(cluster).member_id
    review = look(cluster, ChangeRequest(ChangeKind.REMOVE, healthy))
    assert (review.before.needed, len(review.before.reachable)) == (2, 2)
    assert (review.after.needed, len(review.after.reachable)) == (2, 1)
    assert isinstance(review.refusal, UnhealthyCluster)
    assert len(voters_of(cluster)) == 3, "a look changes nothing"
    assert isinstance(remove(cluster, healthy, unsafe=True), MemberInfo)
    assert len(leader_of(cluster).running.member.members()) == 2
