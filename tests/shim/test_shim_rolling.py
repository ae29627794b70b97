"""The arithmetic of rolling updates, judged by what users are promised: never fewer available pods
than replicas - maxUnavailable by the update's doing, never more pods than replicas + maxSurge."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver_shim.components.conditions import condition
from apiserver_shim.components.controllers.deployments import statuses
from apiserver_shim.components.controllers.deployments.rolling import (
    Counts,
    Limits,
    limits,
    new_replicas,
    old_replicas,
    proportions,
    share,
)
from tests.shim.virtual_clock import VirtualClock
from tests.shim.workloads import deployment


@pytest.mark.parametrize(
    ("surge", "unavailable", "wanted", "expected"),
    [
        ("25%", "25%", 4, Limits(1, 1)),
        ("25%", "25%", 10, Limits(3, 2)),
        ("25%", "25%", 1, Limits(1, 0)),
        (0, 0, 3, Limits(0, 1)),
        ("0%", "10%", 3, Limits(0, 1)),
        (2, 0, 3, Limits(2, 0)),
        ("100%", 5, 3, Limits(3, 3)),
    ],
)
def test_limits(surge: int | str, unavailable: int | str, wanted: int, expected: Limits) -> None:
    """Surge is rounded up, unavailable down; both zero would never move."""
    assert limits(surge, unavailable, wanted) == expected


def test_a_share_is_a_number_or_a_percentage() -> None:
    """Anything else is refused."""
    assert (share(3, 10, up=True), share("5%", 10, up=True), share("5%", 10, up=False)) == (3, 1, 0)
    with pytest.raises(ValueError, match="neither a number nor a percentage"):
        share("many", 10, up=True)


def test_what_is_broken_goes_first() -> None:
    """An old set's unavailable pods are taken before any that serves."""
    old = [Counts(2, 0), Counts(3, 3)]
    assert old_replicas(4, Counts(1, 1), old, Limits(2, 1)) == [0, 2]


def test_a_new_set_that_does_not_come_up_takes_nothing_away() -> None:
    """Its missing pods count against what may be unavailable."""
    assert old_replicas(3, Counts(1, 0), [Counts(3, 3)], Limits(1, 0)) == [3]


@dataclass
class Set:
    """Pods of one ReplicaSet: whether each is available."""

    replicas: int
    pods: list[bool] = field(default_factory=list)

    @property
    def counts(self) -> Counts:
        return Counts(self.replicas, sum(self.pods))

    def follow(self) -> None:
        """What its controller does: new pods are not available, and those go first."""
        self.pods += [False] * (self.replicas - len(self.pods))
        if len(self.pods) > self.replicas:
            self.pods = sorted(self.pods, reverse=True)[: self.replicas]


@settings(max_examples=150)
@given(data=st.data())
def test_an_update_keeps_both_promises_and_ends(data: st.DataObject) -> None:
    """Whatever pods become ready or fail, in whatever order the controllers act."""
    wanted = data.draw(st.integers(0, 8), label="replicas")
    most = limits(
        data.draw(st.integers(0, 4), label="maxSurge"),
        data.draw(st.integers(0, 4), label="maxUnavailable"),
        wanted,
    )
    sizes = data.draw(st.lists(st.integers(0, 4), max_size=3), label="old sets")
    old = [Set(0) for _ in sizes] or [Set(0)]
    for each, size in zip(old, sizes, strict=False):
        each.replicas = min(size, wanted - sum(o.replicas for o in old))
    old[0].replicas += wanted - sum(each.replicas for each in old)
    for each in old:
        each.pods = [True] * each.replicas
    new = Set(0)
    sets = [*old, new]
    at_least, at_most = wanted - most.unavailable, wanted + most.surge

    def roll() -> None:
        before = sum(sum(each.pods) for each in sets)
        total = sum(each.replicas for each in sets)
        grown = new_replicas(wanted, total, new.replicas, most)
        if grown != new.replicas:
            new.replicas = grown
        else:
            shrunk = old_replicas(wanted, new.counts, [each.counts for each in old], most)
            for each, size in zip(old, shrunk, strict=True):
                assert 0 <= size <= each.replicas
                each.replicas = size
        kept = sum(min(sum(each.pods), each.replicas) for each in sets)
        assert kept >= min(before, at_least), (before, kept, at_least)
        assert sum(each.replicas for each in sets) <= max(at_most, total)

    for action in data.draw(st.lists(st.sampled_from(["roll", "follow", "up", "down"]))):
        if action == "roll":
            roll()
        for each in sets:
            if action == "follow":
                each.follow()
        if action in ("up", "down"):
            each = data.draw(st.sampled_from(sets))
            if each.pods:
                each.pods[data.draw(st.integers(0, len(each.pods) - 1))] = action == "up"
    for _ in range(6 * (wanted + 2)):
        for each in sets:
            each.follow()
            each.pods = [True] * len(each.pods)
        roll()
    assert [each.replicas for each in sets] == [0] * len(old) + [wanted]


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    allowed=st.integers(0, 100),
)
def test_proportions_give_what_is_allowed(sizes: list[int], allowed: int) -> None:
    """Together they are what is allowed, and none moves against the others' way."""
    sizes.sort(reverse=True)
    found = proportions(sizes, [sum(sizes)] * len(sizes), allowed)
    assert sum(found) == allowed
    grows = allowed >= sum(sizes)
    assert all((new >= old) == grows or new == old for new, old in zip(found, sizes, strict=True))


def test_a_deployment_that_stands_still_is_told() -> None:
    """Progressing is False when progressDeadlineSeconds have passed without a step."""
    time, made = VirtualClock(), deployment("web", 2, progressDeadlineSeconds=60)
    fresh = {"metadata": {"name": "web-1"}, "spec": {"replicas": 2}, "status": {"replicas": 2}}
    status = statuses.counts(made, [fresh], fresh)
    for after, expected in (
        (0, ("True", "ReplicaSetUpdated")),
        (59, ("True", "ReplicaSetUpdated")),
        (61, ("False", "ProgressDeadlineExceeded")),
    ):
        time.advance(after - time.seconds)
        told = statuses.conditions(made, [fresh], fresh, status, Limits(1, 0), time.clock)
        made["status"] = {**status, "conditions": told}
        found = condition(made, "Progressing") or {}
        assert (found["status"], found["reason"]) == expected
