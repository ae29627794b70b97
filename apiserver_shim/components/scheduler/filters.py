"""On which nodes a pod can run, and the words for why it cannot on the others.

Owns: the filters in their order; the first that says no gives the node's reasons. Must never do:
prefer one node to another. Reasons are those of kube-scheduler.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.scheduler import affinity
from apiserver_shim.components.scheduler.occupant import Occupant, occupant
from apiserver_shim.components.scheduler.placement import Place
from apiserver_shim.components.scheduler.taints import (
    NO_EXECUTE,
    NO_SCHEDULE,
    UNSCHEDULABLE,
    taints_of,
    tolerates,
    tolerations_of,
    untolerated,
)

HOSTNAME = "kubernetes.io/hostname"
Filter = Callable[[Occupant, Place], list[str]]
"""The reasons why the pod cannot run there; none if it can."""


def unschedulable(wanted: Occupant, place: Place) -> list[str]:
    taint = {"key": UNSCHEDULABLE, "effect": NO_SCHEDULE}
    if not place.node.get("spec", {}).get("unschedulable"):
        return []
    if any(tolerates(each, taint) for each in tolerations_of(wanted.pod)):
        return []
    return ["node(s) were unschedulable"]


def named(wanted: Occupant, place: Place) -> list[str]:
    name = wanted.pod.get("spec", {}).get("nodeName")
    fits = name in (None, "", place.name)
    return [] if fits else ["node(s) didn't match the requested node name"]


def tainted(wanted: Occupant, place: Place) -> list[str]:
    found = untolerated(
        taints_of(place.node), tolerations_of(wanted.pod), (NO_SCHEDULE, NO_EXECUTE)
    )
    if found is None:
        return []
    return [f"node(s) had untolerated taint {{{found['key']}: {found.get('value', '')}}}"]


def selected(wanted: Occupant, place: Place) -> list[str]:
    if affinity.node_fits(wanted.pod, place.node):
        return []
    return ["node(s) didn't match Pod's node affinity/selector"]


def ports_free(wanted: Occupant, place: Place) -> list[str]:
    if any(port.conflicts(taken) for port in wanted.ports for taken in place.ports):
        return ["node(s) didn't have free ports for the requested pod ports"]
    return []


def resources_fit(wanted: Occupant, place: Place) -> list[str]:
    """Each resource that is short, and the number of pods."""
    reasons = []
    if place.taken["pods"] + 1 > place.room["pods"]:
        reasons.append("Too many pods")
    for name, amount in wanted.requests.items():
        if amount > 0 and place.taken.get(name, 0) + amount > place.room.get(name, 0):
            reasons.append(f"Insufficient {name}")
    return reasons


NODE_FILTERS: tuple[Filter, ...] = (unschedulable, named, tainted, selected)
"""What is of the node itself: no other pod's end would change it."""
FILTERS: tuple[Filter, ...] = (ports_free, resources_fit)


def pods_fit(
    pod: Object, place: Place, all_places: Sequence[Place], shunning: Sequence[Place]
) -> list[str]:
    """Required pod affinity and anti-affinity, of the pod and of those that run already
    (``shunning``: the places that have such)."""
    for term in affinity.required_terms(pod, "podAffinity"):
        if not _has_company(term, pod, place, all_places):
            return ["node(s) didn't match pod affinity rules"]
    for term in affinity.required_terms(pod, "podAntiAffinity"):
        if _meets(term, pod, place, all_places):
            return ["node(s) didn't match pod anti-affinity rules"]
    if _is_shunned(pod, place, shunning):
        return ["node(s) didn't satisfy existing pods anti-affinity rules"]
    return []


def _near(term: Object, place: Place, all_places: Sequence[Place]) -> list[Place]:
    """The places that count as the same by the term's topologyKey."""
    if term["topologyKey"] == HOSTNAME:
        return [place]
    here = affinity.topology(term, place.node)
    if here is None:
        return []
    return [each for each in all_places if affinity.topology(term, each.node) == here]


def _meets(term: Object, pod: Object, place: Place, all_places: Sequence[Place]) -> bool:
    return any(
        affinity.any_matches(term, pod, each.pods) for each in _near(term, place, all_places)
    )


def _has_company(term: Object, pod: Object, place: Place, all_places: Sequence[Place]) -> bool:
    """Or it is the first of its kind: a pod that its own term speaks of, and no other is there."""
    if affinity.topology(term, place.node) is None:
        return False
    if _meets(term, pod, place, all_places):
        return True
    anywhere = any(affinity.any_matches(term, pod, each.pods) for each in all_places)
    return not anywhere and affinity.term_matches(term, pod, pod)


def _is_shunned(pod: Object, place: Place, shunning: Sequence[Place]) -> bool:
    return any(
        (here := affinity.topology(term, place.node)) is not None
        and here == affinity.topology(term, each.node)
        and affinity.term_matches(term, other.pod, pod)
        for each in shunning
        for other in each.shunning
        for term in other.shuns
    )


@dataclass(slots=True)
class Refusals:
    """How many nodes each reason holds for, and how many no other pod's end would change."""

    reasons: Counter[str] = field(default_factory=Counter)
    hopeless: int = 0


def feasible(pod: Object, places: Sequence[Place]) -> tuple[list[Place], Refusals]:
    """The places where it can run, and why not the others."""
    found: list[Place] = []
    refused = Refusals()
    wanted = occupant(pod)
    shunning = [place for place in places if place.shunning]
    for place in places:
        hopeless = next((told for each in NODE_FILTERS if (told := each(wanted, place))), [])
        why = hopeless or next((told for each in FILTERS if (told := each(wanted, place))), [])
        why = why or pods_fit(pod, place, places, shunning)
        if why:
            refused.reasons.update(why)
            refused.hopeless += bool(hopeless)
        else:
            found.append(place)
    return found, refused


def refusal(total: int, refused: Refusals) -> str:
    """As `kubectl describe pod` shows it. Nobody is preempted here."""
    if not total:
        return "no nodes available to schedule pods"
    preemption = {
        "No preemption victims found for incoming pod": total - refused.hopeless,
        "Preemption is not helpful for scheduling": refused.hopeless,
    }
    return (
        f"0/{total} nodes are available: {_counted(refused.reasons)}. "
        f"preemption: 0/{total} nodes are available: {_counted(preemption)}."
    )


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items() if count))
