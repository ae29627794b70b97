"""Nemeses: what is drawn is possible, comes from the seed alone, and covers what it promises."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest

from jepsen_like.nemesis.disruption import BitFlip, Cut, Kill, Pause, Slow, name_of, words_of
from jepsen_like.nemesis.draws import View
from jepsen_like.nemesis.nemesis import Nemesis, Plan
from jepsen_like.nemesis.registry import KINDS, names, nemesis_named
from jepsen_like.nemesis.shapes import (
    SHAPES,
    any_graph,
    between,
    bridge,
    draw_shape,
    halves,
    isolate_leader,
    majorities_ring,
    one_way_in,
    one_way_out,
)

FIVE = ("m0", "m1", "m2", "m3", "m4")
DRAWS = 300


def drawn(nemesis: Nemesis, view: View, seed: int = 1, number: int = DRAWS) -> list[Plan]:
    random = Random(seed)
    plans = [nemesis.draw(random, view) for _ in range(number)]
    return [plan for plan in plans if plan is not None]


def seen(cut: frozenset[tuple[str, str]], member: str) -> set[str]:
    """Whom it hears and reaches, itself included."""
    others = [m for m in FIVE if m != member]
    return {member} | {m for m in others if not {(m, member), (member, m)} & cut}


def test_the_same_seed_draws_the_same() -> None:
    """Nothing but the seed decides, so that a run can be begun again."""
    view = View(FIVE, "m2")
    first = drawn(nemesis_named("all"), view)
    assert first == drawn(nemesis_named("all"), view)
    assert first != drawn(nemesis_named("all"), view, seed=2)


def test_each_kind_comes_before_any_comes_again() -> None:
    """A short run has all of what it was started for."""
    plans = drawn(nemesis_named("kill,partition"), View(FIVE, "m2"), number=10)
    kinds = [name_of(plan.disruption) for plan in plans]
    assert len(kinds) == 10
    assert all(set(kinds[i : i + 2]) == {"kill", "partition"} for i in range(0, 10, 2))


def test_all_has_every_kind_and_overlaps_within_its_bound() -> None:
    """Three together at most, of one kind one; a single nemesis waits for its own end. What needs
    something of the program or the machine is not among them."""
    everything = nemesis_named("all")
    plans = drawn(everything, View(FIVE, "m2"))
    kinds = {name for name, kind in KINDS.items() if kind.is_in_all}
    assert {name_of(plan.disruption) for plan in plans} == kinds
    some = {name_of(plan.disruption): plan.disruption for plan in plans}
    two = View(FIVE, "m2", under_way=(some["kill"], some["pause"]))
    third = {name_of(plan.disruption) for plan in drawn(everything, two)}
    assert third == kinds - {"kill", "pause"}
    three = View(FIVE, "m2", under_way=(*two.under_way, some["partition"]))
    assert not drawn(everything, three)
    assert not drawn(nemesis_named("kill"), View(FIVE, "m2", under_way=(some["pause"],)))


@pytest.mark.parametrize("kind", ["kill", "pause"])
def test_only_members_that_are_up_are_taken_down(kind: str) -> None:
    """Of all sizes, the leader too, and nobody that is down already."""
    view = View(FIVE, "m2", down=frozenset({"m0"}))
    sizes, leaders = set(), 0
    for plan in drawn(nemesis_named(kind), view):
        assert isinstance(plan.disruption, Kill | Pause)
        members = plan.disruption.members
        assert members
        assert "m0" not in members
        sizes.add(len(members))
        leaders += members == ("m2",)
    assert sizes == {1, 2, 3, 4}
    assert leaders >= DRAWS // 5
    assert not drawn(nemesis_named(kind), View(FIVE, None, down=frozenset(FIVE)))


def test_partitions_have_every_shape_and_both_manners() -> None:
    """Held and reset, and each shape by its name; slow links use the same shapes."""
    cuts = [plan.disruption for plan in drawn(nemesis_named("partition"), View(FIVE, "m2"))]
    assert {cut.shape for cut in cuts if isinstance(cut, Cut)} == set(SHAPES)
    assert {cut.resets for cut in cuts if isinstance(cut, Cut)} == {True, False}
    slows = [plan.disruption for plan in drawn(nemesis_named("slow-link"), View(FIVE, "m2"))]
    assert {slow.shape for slow in slows if isinstance(slow, Slow)} == set(SHAPES)
    assert not drawn(nemesis_named("partition"), View(("m0",), "m0"))


def test_halves_leave_one_majority() -> None:
    """Three see each other, two see each other, and nobody sees across."""
    cut = halves(Random(3), FIVE, None)
    assert sorted(len(seen(cut, member)) for member in FIVE) == [2, 2, 3, 3, 3]


def test_a_bridge_is_the_only_way_across() -> None:
    """One member sees all, the others see their group and it."""
    cut = bridge(Random(3), FIVE, None)
    assert sorted(len(seen(cut, member)) for member in FIVE) == [3, 3, 3, 3, 5]


@pytest.mark.parametrize("size", [4, 5, 6, 7, 9])
def test_a_ring_of_majorities(size: int) -> None:
    """Everybody sees a majority, but not all; with three members there is no such shape."""
    members = [f"m{number}" for number in range(size)]
    cut = majorities_ring(Random(size), members, None)
    for member in members:
        away = {b for a, b in cut if a == member}
        assert size // 2 + 1 <= size - len(away) < size
    assert not majorities_ring(Random(1), members[:3], None)
    assert draw_shape(Random(1), members[:3], None)[1]


def test_one_way_cuts_have_one_direction() -> None:
    """Out: nobody hears it. In: it hears nobody. The leader, where it is isolated, is alone."""
    out, into = one_way_out(Random(1), FIVE, "m2"), one_way_in(Random(1), FIVE, "m2")
    assert len({source for source, _ in out}) == 1
    assert len({target for _, target in out}) == 4
    assert len({target for _, target in into}) == 1
    assert isolate_leader(Random(1), FIVE, "m2") == between(["m2"], ["m0", "m1", "m3", "m4"])


def test_any_directed_graph_can_come() -> None:
    """With three members all 63 cuts but the empty one are drawn."""
    random = Random(1)
    cuts = {any_graph(random, FIVE[:3], None) for _ in range(2000)}
    assert len(cuts) == 2 ** len(list(permutations(range(3), 2))) - 1


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["bitflip", "bitflip-db"])
def test_never_more_than_a_minority_is_damaged(kind: str, size: int) -> None:
    """Each flip is remembered as the run does; those that are down are left alone, and when a
    minority has damage only it may get more."""
    members, random = FIVE[:size], Random(size)
    nemesis, damaged = nemesis_named(kind), set[str]()
    for step in range(DRAWS):
        down = frozenset(random.sample(members, step % size))
        plan = nemesis.draw(random, View(members, None, down, damaged=frozenset(damaged)))
        if plan is not None:
            assert isinstance(plan.disruption, BitFlip)
            assert plan.disruption.member not in down
            damaged.add(plan.disruption.member)
    assert len(damaged) == (size - 1) // 2


def test_a_member_is_replaced_only_in_a_whole_cluster() -> None:
    """With one down, or with no other, the change could never be agreed on."""
    assert drawn(nemesis_named("member-replace"), View(FIVE, "m2"))
    assert not drawn(nemesis_named("member-replace"), View(FIVE, "m2", frozenset({"m0"})))
    assert not drawn(nemesis_named("member-replace"), View(("m0",), "m0"))


@pytest.mark.parametrize("name", list(KINDS))
def test_every_kind_draws_what_bears_its_name(name: str) -> None:
    """So that --nemesis, the history and the report call it the same; its words name whom."""
    plans = drawn(nemesis_named(name), View(FIVE, "m2"))
    assert {name_of(plan.disruption) for plan in plans} == {name}
    assert all(words_of(plan.disruption) for plan in plans)
    assert nemesis_named(f"kill,{name}").needs == KINDS[name].needs


def test_the_hold_has_a_bound() -> None:
    """As long as was asked for, and half of the plans in the longer half of it."""
    holds = [p.hold_s for p in drawn(nemesis_named("kill", 20.0), View(FIVE, "m2"))]
    assert max(holds) <= 20.0
    assert sum(hold > 10.0 for hold in holds) >= DRAWS // 3


def test_names_are_known_or_refused() -> None:
    """Every listed name makes one; another is an error that lists them; none breaks nothing."""
    for name in names():
        assert nemesis_named(name).name == name
    assert not drawn(nemesis_named("none"), View(FIVE, "m2"))
    with pytest.raises(ValueError, match="no nemesis 'earthquake': kill, pause"):
        nemesis_named("kill,earthquake")


def test_words_name_links_and_their_direction() -> None:
    """What a person reads in the history says who cannot reach whom."""
    cut = Cut("any graph", between(["m0"], ["m1"]) | {("m2", "m1")}, resets=False)
    assert words_of(cut) == "any graph: m0<->m1 m2->m1, bytes held back"
    assert words_of(Kill("majority", ("m0", "m1"))) == "majority: m0, m1"
