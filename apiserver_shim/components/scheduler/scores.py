"""Which of the nodes that can run a pod it should run on.

Owns: the scores, 0 to 100 each, and their weights (kube-scheduler's). Must never do: leave a node
out; ``filters`` do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.scheduler import affinity
from apiserver_shim.components.scheduler.occupant import kin_key
from apiserver_shim.components.scheduler.placement import Place
from apiserver_shim.components.scheduler.requests import NONZERO, requests_of
from apiserver_shim.components.scheduler.taints import (
    PREFER_NOT,
    taints_of,
    tolerations_of,
    untolerated,
)

BEST = 100.0
Score = Callable[[Object, Sequence[Place]], list[float]]


def least_allocated(pod: Object, places: Sequence[Place]) -> list[float]:
    """The free share of cpu and memory once the pod is there."""
    asked = requests_of(pod, NONZERO)

    def score(place: Place) -> float:
        shares = []
        for name in ("cpu", "memory"):
            room = place.room.get(name, Decimal(0))
            if room > 0:
                taken = place.taken_for_score.get(name, Decimal(0)) + asked.get(name, Decimal(0))
                shares.append(max(float((room - taken) / room), 0.0) * BEST)
        return sum(shares) / len(shares) if shares else 0.0

    return [score(place) for place in places]


def balanced(pod: Object, places: Sequence[Place]) -> list[float]:
    """cpu and memory are used to about the same share."""
    asked = requests_of(pod, NONZERO)

    def score(place: Place) -> float:
        shares = []
        for name in ("cpu", "memory"):
            room = place.room.get(name, Decimal(0))
            if room > 0:
                taken = place.taken_for_score.get(name, Decimal(0)) + asked.get(name, Decimal(0))
                shares.append(min(float(taken / room), 1.0))
        if len(shares) < 2:
            return BEST
        return (1 - abs(shares[0] - shares[1]) / 2) * BEST

    return [score(place) for place in places]


def spread(pod: Object, places: Sequence[Place]) -> list[float]:
    """Away from the pods of the same controller, or of the same labels."""
    key = kin_key(pod)
    return _inverted([place.kin[key] if key is not None else 0 for place in places])


def preferred_nodes(pod: Object, places: Sequence[Place]) -> list[float]:
    return _scaled([affinity.node_preference(pod, place.node) for place in places])


def preferred_pods(pod: Object, places: Sequence[Place]) -> list[float]:
    """Preferred pod affinity less preferred anti-affinity."""
    wanted = affinity.weighted_terms(pod, "podAffinity")
    wanted += [(-w, term) for w, term in affinity.weighted_terms(pod, "podAntiAffinity")]

    def score(place: Place) -> int:
        total = 0
        for weight, term in wanted:
            here = affinity.topology(term, place.node)
            for each in places:
                if here is not None and affinity.topology(term, each.node) == here:
                    total += weight * sum(affinity.term_matches(term, pod, p) for p in each.pods)
        return total

    return _scaled([score(place) for place in places] if wanted else [0] * len(places))


def few_taints(pod: Object, places: Sequence[Place]) -> list[float]:
    """Taints that only ask to stay away."""
    allowed = tolerations_of(pod)
    return _inverted(
        [
            sum(
                untolerated([taint], allowed, (PREFER_NOT,)) is not None
                for taint in taints_of(place.node)
            )
            for place in places
        ]
    )


SCORES: tuple[tuple[Score, int], ...] = (
    (few_taints, 3),
    (preferred_nodes, 2),
    (preferred_pods, 2),
    (spread, 2),
    (least_allocated, 1),
    (balanced, 1),
)


def best(pod: Object, places: Sequence[Place], random: Random) -> Place:
    """The place with the highest sum; of equals any."""
    assert places, "no place is feasible"
    sums = [0.0] * len(places)
    for score, weight in SCORES:
        for at, points in enumerate(score(pod, places)):
            sums[at] += weight * points
    top = max(sums)
    return random.choice([place for place, s in zip(places, sums, strict=True) if s >= top - 1e-9])


def _scaled(points: Sequence[int]) -> list[float]:
    """The most gets 100; below zero everything moves up first."""
    low, high = min([0, *points]), max([0, *points])
    return [(p - low) * BEST / (high - low) if high > low else 0.0 for p in points]


def _inverted(counts: Sequence[int]) -> list[float]:
    most = max(counts, default=0)
    return [(most - count) * BEST / most if most else BEST for count in counts]
