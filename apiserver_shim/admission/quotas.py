"""ResourceQuota: how much of everything a namespace may hold.

Owns: what an object costs, the count of what is there, the refusal, and status.used. Must never do:
trust status.used: the count is of the objects themselves, as the copy has them. Two writers
at the same instant may pass both; the next one is refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from fractions import Fraction
from typing import Any

from apiserver_shim.admission.limits import totals
from apiserver_shim.api.admission import Write
from apiserver_shim.api.status import forbidden
from apiserver_shim.api.stored import StoredObject, encoded
from apiserver_shim.kinds.pods import containers_of, qos_class
from apiserver_shim.kinds.quantity import parse, told
from apiserver_shim.parts import Parts
from apiserver_shim.resources.resource import Resource

log = logging.getLogger("apiserver_shim.quotas")

RECOUNT_S = 5.0
Object = dict[str, Any]
Usage = dict[str, Fraction]
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_COUNTED = (
    "pods",
    "services",
    "configmaps",
    "secrets",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
)


def cost(resource: Resource, obj: Object) -> Usage:
    """What one object takes of each thing that a quota can name."""
    one = Fraction(1)
    over = obj.get("status", {}).get("phase") in ("Succeeded", "Failed")
    if over and (resource.group, resource.kind) == ("", "Pod"):
        return {f"count/{resource.qualified}": one}
    found: Usage = {f"count/{resource.qualified}": one}
    if not resource.group and resource.plural in _COUNTED:
        found[resource.plural] = one
    spec = obj.get("spec") or {}
    if resource.group:
        return found
    if resource.kind == "Pod":
        amounts = totals(spec)
        for name, value in amounts["requests"].items():
            found[f"requests.{name}"] = value
            if name in _COMPUTE:
                found[name] = value
        for name, value in amounts["limits"].items():
            found[f"limits.{name}"] = value
    elif resource.kind == "PersistentVolumeClaim":
        storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
        if storage is not None:
            found["requests.storage"] = parse(storage)
    elif resource.kind == "Service":
        ports = Fraction(len(spec.get("ports") or ()))
        if spec.get("type") == "LoadBalancer":
            found["services.loadbalancers"] = one
        if spec.get("type") in ("LoadBalancer", "NodePort"):
            found["services.nodeports"] = ports
    return found


def concerns(quota: Object, resource: Resource, obj: Object) -> bool:
    """Whether the object is one of those that the quota's scopes name."""
    spec = quota.get("spec") or {}
    scopes = list(spec.get("scopes") or ())
    terms = (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    if not scopes and not terms:
        return True
    if resource.kind != "Pod":
        return False
    pod = obj.get("spec") or {}
    has = {
        "BestEffort": qos_class(pod) == "BestEffort",
        "NotBestEffort": qos_class(pod) != "BestEffort",
        "Terminating": pod.get("activeDeadlineSeconds") is not None,
        "NotTerminating": pod.get("activeDeadlineSeconds") is None,
    }
    if not all(has.get(scope, True) for scope in scopes):
        return False
    return all(_term_holds(term, pod, has) for term in terms)


def _term_holds(term: Object, pod: Object, has: dict[str, bool]) -> bool:
    if term.get("scopeName") != "PriorityClass":
        return has.get(term.get("scopeName", ""), True)
    name, values = pod.get("priorityClassName"), term.get("values") or ()
    return {
        "In": name in values,
        "NotIn": name not in values,
        "Exists": bool(name),
        "DoesNotExist": not name,
    }.get(term.get("operator", ""), False)


class ResourceQuotas:
    """``__call__`` is the admission step; ``run`` keeps status.used while others delete."""

    def __init__(
        self, parts: Parts, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._parts = parts
        self._pause = pause
        found = parts.catalogue.find("", "v1", "resourcequotas")
        assert found is not None, "resourcequotas are not served"
        self._quotas: Resource = found

    async def __call__(self, write: Write) -> None:
        """Raises 403 with what was requested, used and limited."""
        target = write.target
        if write.new is None or not target.resource.namespaced or target.subresource:
            return
        quotas = list(self._of(target.namespace))
        if not quotas:
            return
        await self._parts.mirror.catch_up()
        after = cost(target.resource, write.new)
        before = cost(target.resource, write.old) if write.old is not None else {}
        grown = {n: v - before.get(n, Fraction(0)) for n, v in after.items()}
        grown = {name: value for name, value in grown.items() if value > 0}
        name = write.new["metadata"]["name"]
        for stored in quotas:
            quota = stored.object
            if not concerns(quota, target.resource, write.new):
                continue
            hard = _hard(quota)
            if write.old is None:
                self._check_said(write, quota, hard)
            wanted = {each: grown[each] for each in hard if each in grown}
            if not wanted:
                continue
            used = self.used(target.namespace, quota)
            over = [n for n in wanted if used.get(n, Fraction(0)) + wanted[n] > parse(hard[n])]
            if over:
                words = (
                    f"exceeded quota: {stored.name}, requested: {_list(over, wanted, hard)}, "
                    f"used: {_list(over, used, hard)}, limited: "
                    f"{','.join(f'{n}={hard[n]}' for n in sorted(over))}"
                )
                raise forbidden(target.resource, name, words)
            if not write.dry_run:
                total = {n: used.get(n, Fraction(0)) + wanted.get(n, Fraction(0)) for n in hard}
                await self._note(stored, total)

    def _check_said(self, write: Write, quota: Object, hard: dict[str, str]) -> None:
        """With a quota of a compute resource every container says what it wants of it."""
        if write.target.resource.kind != "Pod" or write.new is None:
            return
        missing: dict[str, list[str]] = {}
        for name in sorted(hard):
            kind, _, what = name.rpartition(".")
            if what not in _COMPUTE or kind not in ("", "requests", "limits"):
                continue
            for _, container in containers_of(write.new["spec"]):
                said = (container.get("resources") or {}).get(kind or "requests") or {}
                if what not in said:
                    missing.setdefault(name, []).append(container["name"])
        if missing:
            words = "; ".join(f"{name} for: {','.join(who)}" for name, who in missing.items())
            why = f"failed quota: {quota['metadata']['name']}: must specify {words}"
            raise forbidden(write.target.resource, write.new["metadata"]["name"], why)

    def used(self, namespace: str, quota: Object) -> Usage:
        """Counted from the copy."""
        hard, total = _hard(quota), dict[str, Fraction]()
        for resource in self._resources_of(hard):
            collection = self._parts.mirror.collection(resource.prefix)
            for stored in collection.objects(resource.collection(namespace)):
                if concerns(quota, resource, stored.object):
                    for name, value in cost(resource, stored.object).items():
                        total[name] = total.get(name, Fraction(0)) + value
        return {name: total.get(name, Fraction(0)) for name in hard}

    def _resources_of(self, hard: dict[str, str]) -> Iterator[Resource]:
        """Those whose objects the quota counts: one version of each."""
        seen = set[str]()
        for resource in self._parts.catalogue:
            names = {f"count/{resource.qualified}"}
            if not resource.group and resource.kind == "Pod":
                names |= {each for each in hard if not each.startswith("count/")}
            elif not resource.group:
                names.add(resource.plural)
                if resource.kind == "Service":
                    names |= {"services.loadbalancers", "services.nodeports"}
                if resource.kind == "PersistentVolumeClaim":
                    names.add("requests.storage")
            if names & hard.keys() and resource.prefix not in seen:
                seen.add(resource.prefix)
                yield resource

    def _of(self, namespace: str) -> Iterator[StoredObject]:
        collection = self._parts.mirror.collection(self._quotas.prefix)
        return collection.objects(self._quotas.collection(namespace))

    async def _note(self, stored: StoredObject, used: Usage) -> None:
        """status.used, unless somebody else has just written it: the recount comes to it."""
        quota, hard = stored.copy(), _hard(stored.object)
        status = {"hard": hard, "used": {n: told(used[n], hard[n]) for n in hard}}
        if quota.get("status") != status:
            quota["status"] = status
            await self._parts.registry.write(stored.key, encoded(quota), stored.revision)

    async def run(self) -> None:
        """Count again every few seconds, for ever."""
        while True:
            await self._pause(RECOUNT_S)
            if self._parts.mirror.is_ready:
                await self.recount()

    async def recount(self) -> None:
        for stored in list(self._of("")):
            namespace = stored.object["metadata"]["namespace"]
            await self._note(stored, self.used(namespace, stored.object))


def _hard(quota: Object) -> dict[str, str]:
    return {k: str(v) for k, v in ((quota.get("spec") or {}).get("hard") or {}).items()}


def _list(names: list[str], amounts: Usage, like: dict[str, str]) -> str:
    zero = Fraction(0)
    return ",".join(f"{n}={told(amounts.get(n, zero), like[n])}" for n in sorted(names))
