"""Where a pod wants to be: nodes by label or name, near or far from other pods.

Owns: the terms' meaning. Must never do: know resources or taints.
"""

from __future__ import annotations

from collections.abc import Iterable

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.label_selector import all_hold, selects

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def affinity_of(pod: Object, kind: str) -> Object:
    """``kind``: nodeAffinity, podAffinity or podAntiAffinity."""
    found: Object = (pod.get("spec", {}).get("affinity") or {}).get(kind) or {}
    return found


def node_fits(pod: Object, node: Object) -> bool:
    """nodeSelector and the required nodeAffinity."""
    labels = node["metadata"].get("labels") or {}
    wanted = pod.get("spec", {}).get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    required = affinity_of(pod, "nodeAffinity").get(REQUIRED)
    if required is None:
        return True
    return any(_term_fits(term, node) for term in required.get("nodeSelectorTerms") or ())


def node_preference(pod: Object, node: Object) -> int:
    """The sum of the weights of the preferred terms that the node meets."""
    terms = affinity_of(pod, "nodeAffinity").get(PREFERRED) or ()
    return sum(int(each["weight"]) for each in terms if _term_fits(each["preference"], node))


def _term_fits(term: Object, node: Object) -> bool:
    """A term that asks for nothing fits nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    labels = node["metadata"].get("labels") or {}
    return all_hold(expressions, labels) and all_hold(
        fields, {"metadata.name": node["metadata"]["name"]}
    )


def required_terms(pod: Object, kind: str) -> list[Object]:
    return list(affinity_of(pod, kind).get(REQUIRED) or ())


def weighted_terms(pod: Object, kind: str) -> list[tuple[int, Object]]:
    found = affinity_of(pod, kind).get(PREFERRED) or ()
    return [(int(each["weight"]), each["podAffinityTerm"]) for each in found]


def term_matches(term: Object, owner: Object, other: Object) -> bool:
    """Whether ``other`` is one of the pods that ``owner``'s term speaks of. Without namespaces
    the term means its owner's; namespaceSelector: only the empty one, which means all."""
    namespaces = list(term.get("namespaces") or ())
    if term.get("namespaceSelector") != {}:
        namespaces = namespaces or [owner["metadata"]["namespace"]]
    if namespaces and other["metadata"]["namespace"] not in namespaces:
        return False
    return selects(term.get("labelSelector"), other["metadata"].get("labels"))


def topology(term: Object, node: Object) -> str | None:
    """The value of the term's topologyKey on the node: same value, same place."""
    value: str | None = (node["metadata"].get("labels") or {}).get(term["topologyKey"])
    if value is None and term["topologyKey"] == "kubernetes.io/hostname":
        value = node["metadata"]["name"]
    return value


def any_matches(term: Object, owner: Object, others: Iterable[Object]) -> bool:
    return any(term_matches(term, owner, other) for other in others)
