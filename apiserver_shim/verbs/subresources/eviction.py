"""POST pods/{name}/eviction: a delete that asks the PodDisruptionBudgets first.

Owns: how a budget is spent. Must never do: evict a running pod that its budget needs.
The budgets' numbers are the disruption controller's: here they are only spent, with a guarded
write, so that of many who ask at once no more get leave than there is leave to give.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from apiserver_shim.api.answer import ObjectAnswer
from apiserver_shim.api.metadata import timestamp
from apiserver_shim.api.request import ApiRequest, Target
from apiserver_shim.api.selectors import LabelSelector, Requirement
from apiserver_shim.api.status import (
    ApiError,
    Cause,
    bad_request,
    forbidden,
    internal,
    not_found,
)
from apiserver_shim.parts import Parts
from apiserver_shim.resources.resource import Resource
from apiserver_shim.verbs.decoding import decode
from apiserver_shim.verbs.deleting import delete_object, delete_options
from apiserver_shim.verbs.subresources.success import success
from apiserver_shim.verbs.writing import change_object

DISRUPTED_PODS_MAX = 2000
"""Evictions that the disruption controller has not yet seen done, of one budget."""
RETRY_S = 10

Object = dict[str, Any]


async def evict(parts: Parts, request: ApiRequest, target: Target) -> ObjectAnswer:
    """Raises 429 when a budget says no."""
    eviction = decode(request)
    if eviction.get("kind", "Eviction") != "Eviction":
        raise bad_request(f"the kind in the data ({eviction['kind']}) is not Eviction")
    name = (eviction.get("metadata") or {}).get("name", target.name)
    if name != target.name:
        raise bad_request(f"name in URL does not match name in Eviction object: {name}")
    found = await parts.registry.get(target.resource.key(target.namespace, target.name))
    if found is None:
        raise not_found(target.resource, target.name)
    pod = found.object
    if not _is_free_to_go(pod):
        await _spend(parts, request, target, pod)
    body = orjson.dumps(eviction.get("deleteOptions") or {})
    options = delete_options(replace(request, body=body))
    options = replace(options, uid=options.uid or pod["metadata"]["uid"])
    await delete_object(parts, request, replace(target, verb="delete", subresource=""), options)
    return success(201)


def _is_free_to_go(pod: Object) -> bool:
    """No budget counts a pod that has ended, has not begun or is going."""
    phase = pod.get("status", {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or "deletionTimestamp" in pod["metadata"]


async def _spend(parts: Parts, request: ApiRequest, target: Target, pod: Object) -> None:
    budgets = parts.catalogue.find("policy", "v1", "poddisruptionbudgets")
    assert budgets is not None, "poddisruptionbudgets are not served"
    await parts.mirror.catch_up()
    collection = parts.mirror.collection(budgets.prefix)
    labels = pod["metadata"].get("labels")
    found = [
        each
        for each in collection.objects(budgets.collection(target.namespace))
        if selector_of(each.object.get("spec", {}).get("selector")).matches(labels)
    ]
    if len(found) > 1:
        raise internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does "
            "not support."
        )
    for each in found:
        budget = Target(budgets, "update", target.namespace, each.name, "status")

        async def change(stored: Object) -> Object:
            return spent(stored, pod, timestamp(parts.now()), budgets)

        try:
            await change_object(parts, request, budget, change)
        except LookupError:
            continue  # the budget has gone since: it forbids nothing


def spent(budget: Object, pod: Object, now: str, resource: Resource) -> Object:
    """The budget after the pod's eviction. Raises 429 and 403."""
    name, status = budget["metadata"]["name"], dict(budget.get("status") or {})
    generation = budget["metadata"].get("generation", 0)
    if status.get("observedGeneration", 0) < generation:
        raise _refused(f"The disruption budget {name} is still being processed by the server.")
    healthy, desired = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
    if not _is_ready(pod):
        policy = budget.get("spec", {}).get("unhealthyPodEvictionPolicy", "IfHealthyBudget")
        if policy == "AlwaysAllow" or (healthy >= desired and desired > 0):
            return budget
    allowed = status.get("disruptionsAllowed", 0)
    disrupted = status.get("disruptedPods") or {}
    if allowed < 0:
        raise forbidden(resource, name, "pdb disruptions allowed is negative")
    if len(disrupted) > DISRUPTED_PODS_MAX:
        raise forbidden(resource, name, "DisruptedPods map too big - too many evictions")
    if allowed == 0:
        raise _refused(
            f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
        )
    status["disruptionsAllowed"] = allowed - 1
    status["disruptedPods"] = {**disrupted, pod["metadata"]["name"]: now}
    return {**budget, "status": status}


def selector_of(selector: Object | None) -> LabelSelector:
    """Of policy/v1: an empty one matches all pods, none at all matches none."""
    if selector is None:
        return LabelSelector((Requirement("", "exists"),))
    terms = [
        Requirement(key, "in", frozenset([value]))
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    names = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "absent"}
    for each in selector.get("matchExpressions") or ():
        operator = names.get(each["operator"], "exists")
        terms.append(Requirement(each["key"], operator, frozenset(each.get("values") or ())))
    return LabelSelector(tuple(terms))


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _refused(why: str) -> ApiError:
    return ApiError(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        causes=(Cause("DisruptionBudget", why),),
        retry_after_s=RETRY_S,
    )
