"""The shapes of partitions, as sets of directed links.

Owns: one function per shape. Must never do: know the cluster beyond its names and its leader. The
shapes are those of Jepsen and of the partition study of OSDI'18: complete, partial (a bridge,
majorities in a ring) and one-way; ``any_graph`` may draw every directed graph there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import permutations
from random import Random

from jepsen_like.nemesis.disruption import Pair

Shape = Callable[[Random, Sequence[str], str | None], frozenset[Pair]]
"""Of chance, members and leader. Empty where the shape does not exist."""


def between(left: Iterable[str], right: Iterable[str]) -> frozenset[Pair]:
    """Both directions between two groups."""
    crossing = [(a, b) for a in left for b in right]
    return frozenset(crossing) | frozenset((b, a) for a, b in crossing)


def isolate_one(random: Random, members: Sequence[str], _: str | None) -> frozenset[Pair]:
    one = random.choice(members)
    return between([one], [m for m in members if m != one])


def isolate_leader(random: Random, members: Sequence[str], leader: str | None) -> frozenset[Pair]:
    one = leader if leader is not None else random.choice(members)
    return between([one], [m for m in members if m != one])


def halves(random: Random, members: Sequence[str], _: str | None) -> frozenset[Pair]:
    """The smallest majority on one side."""
    mixed = random.sample(members, len(members))
    middle = len(members) // 2
    return between(mixed[:middle], mixed[middle:])


def bridge(random: Random, members: Sequence[str], _: str | None) -> frozenset[Pair]:
    """Two groups that only meet in one member, which sees everybody."""
    mixed = random.sample(members, len(members))[1:]
    middle = len(mixed) // 2
    return between(mixed[:middle], mixed[middle:])


def majorities_ring(random: Random, members: Sequence[str], _: str | None) -> frozenset[Pair]:
    """Everybody sees a majority, and no two see the same; with three members it does not exist."""
    size, mixed = len(members), random.sample(members, len(members))
    reach = (size // 2 + 1) // 2  # to each side; both and oneself are a majority
    return frozenset(
        (mixed[i], mixed[j])
        for i, j in permutations(range(size), 2)
        if min((i - j) % size, (j - i) % size) > reach
    )


def one_way_out(random: Random, members: Sequence[str], leader: str | None) -> frozenset[Pair]:
    """One member hears everybody, and nobody hears it."""
    one = _leader_or_any(random, members, leader)
    return frozenset((one, m) for m in members if m != one)


def one_way_in(random: Random, members: Sequence[str], leader: str | None) -> frozenset[Pair]:
    """One member is heard by everybody, and hears nobody."""
    one = _leader_or_any(random, members, leader)
    return frozenset((m, one) for m in members if m != one)


def any_graph(random: Random, members: Sequence[str], _: str | None) -> frozenset[Pair]:
    """Each directed link is cut or not, by the toss of a coin; never none of them."""
    pairs = list(permutations(members, 2))
    cut = frozenset(pair for pair in pairs if random.random() < 0.5)
    return cut or frozenset({random.choice(pairs)})


def _leader_or_any(random: Random, members: Sequence[str], leader: str | None) -> str:
    if leader is not None and random.random() < 0.5:
        return leader
    return random.choice(members)


SHAPES: dict[str, Shape] = {
    "isolate one": isolate_one,
    "isolate the leader": isolate_leader,
    "halves": halves,
    "bridge": bridge,
    "majorities ring": majorities_ring,
    "one way out": one_way_out,
    "one way in": one_way_in,
    "any graph": any_graph,
}


def draw_shape(
    random: Random, members: Sequence[str], leader: str | None
) -> tuple[str, frozenset[Pair]]:
    """A shape that exists for these members, by name, and its links. Two members or more."""
    names = list(SHAPES)
    random.shuffle(names)
    for name in names:
        pairs = SHAPES[name](random, members, leader)
        if pairs:
            return name, pairs
    raise ValueError(f"no partition of {len(members)} members")
