"""LimitRanger: what a container gets if it does not say, and what it may ask for.

Owns: LimitRange objects applied to pods and claims. Must never do: change what was said.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from apiserver_shim.api.admission import Write
from apiserver_shim.api.status import forbidden
from apiserver_shim.kinds.pods import containers_of
from apiserver_shim.kinds.quantity import parse
from apiserver_shim.parts import Parts

Object = dict[str, Any]
NOTE = "kubernetes.io/limit-ranger"


class LimitRanger:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, write: Write) -> None:
        """Raises 403 with everything that is out of bounds."""
        kind = (write.target.resource.group, write.target.resource.kind)
        if write.new is None or write.old is not None or write.target.subresource:
            return
        if kind not in (("", "Pod"), ("", "PersistentVolumeClaim")):
            return
        limits = list(self._limits(write.target.namespace))
        complaints = list[str]()
        if kind == ("", "Pod"):
            notes = [note for limit in limits for note in default_pod(write.new, limit)]
            if notes:
                annotations = write.new["metadata"].setdefault("annotations", {})
                annotations[NOTE] = f"LimitRanger plugin set: {'; '.join(notes)}"
            for limit in limits:
                complaints.extend(pod_complaints(write.new, limit))
        else:
            for limit in limits:
                complaints.extend(claim_complaints(write.new, limit))
        if complaints:
            why = complaints[0] if len(complaints) == 1 else f"[{', '.join(complaints)}]"
            raise forbidden(write.target.resource, write.new["metadata"]["name"], why)

    def _limits(self, namespace: str) -> Iterator[Object]:
        ranges = self._parts.catalogue.find("", "v1", "limitranges")
        assert ranges is not None, "limitranges are not served"
        collection = self._parts.mirror.collection(ranges.prefix)
        for each in collection.objects(ranges.collection(namespace)):
            yield from each.object.get("spec", {}).get("limits", ())


def default_pod(pod: Object, limit: Object) -> list[str]:
    """Fill in; what was filled in, in words."""
    if limit.get("type") != "Container":
        return []
    notes = []
    for path, container in containers_of(pod["spec"]):
        if path.startswith("ephemeral"):
            continue
        resources = container.setdefault("resources", {})
        for kind, source in (("requests", "defaultRequest"), ("limits", "default")):
            missing = {
                name: value
                for name, value in (limit.get(source) or {}).items()
                if name not in (resources.get(kind) or {})
            }
            if missing:
                resources[kind] = {**(resources.get(kind) or {}), **missing}
                initial = "init " if path.startswith("init") else ""
                names = ", ".join(sorted(missing))
                notes.append(f"{names} {kind[:-1]} for {initial}container {container.get('name')}")
    return notes


def pod_complaints(pod: Object, limit: Object) -> Iterator[str]:
    if limit.get("type") == "Container":
        for path, container in containers_of(pod["spec"]):
            if not path.startswith("ephemeral"):
                yield from _complaints(container.get("resources") or {}, limit, "Container")
    elif limit.get("type") == "Pod":
        yield from _complaints(totals(pod["spec"]), limit, "Pod")


def claim_complaints(claim: Object, limit: Object) -> Iterator[str]:
    if limit.get("type") == "PersistentVolumeClaim":
        resources = claim.get("spec", {}).get("resources") or {}
        requested = {"requests": resources.get("requests") or {}}
        yield from _complaints(requested, limit, "PersistentVolumeClaim")


def totals(spec: Object) -> Object:
    """Of all containers that run at once, or of the greediest of those that run first."""
    found: Object = {}
    for kind in ("requests", "limits"):
        first: dict[str, Fraction] = {}
        running: dict[str, Fraction] = {}
        for path, container in containers_of(spec):
            amounts = (container.get("resources") or {}).get(kind) or {}
            for name, text in amounts.items():
                value = parse(text)
                if path.startswith("init") and container.get("restartPolicy") != "Always":
                    first[name] = max(first.get(name, Fraction(0)), value)
                else:
                    running[name] = running.get(name, Fraction(0)) + value
        names = first.keys() | running.keys()
        zero = Fraction(0)
        found[kind] = {n: max(first.get(n, zero), running.get(n, zero)) for n in sorted(names)}
    return found


def _complaints(resources: Object, limit: Object, kind: str) -> Iterator[str]:
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for name, least in (limit.get("min") or {}).items():
        for word, amounts in (("request", requests), ("limit", limits)):
            if name in amounts and _amount(amounts[name]) < parse(least):
                told = _told(amounts[name])
                yield f"minimum {name} usage per {kind} is {least}, but {word} is {told}"
        if name not in requests and name not in limits:
            yield f"minimum {name} usage per {kind} is {least}.  No request is specified"
    for name, most in (limit.get("max") or {}).items():
        for word, amounts in (("limit", limits), ("request", requests)):
            if name in amounts and _amount(amounts[name]) > parse(most):
                told = _told(amounts[name])
                yield f"maximum {name} usage per {kind} is {most}, but {word} is {told}"
                break
        if kind != "PersistentVolumeClaim" and name not in limits:
            yield f"maximum {name} usage per {kind} is {most}.  No limit is specified"
    for name, ratio in (limit.get("maxLimitRequestRatio") or {}).items():
        wanted, most = requests.get(name), limits.get(name)
        if wanted is None or most is None or not _amount(wanted):
            continue
        found = _amount(most) / _amount(wanted)
        if found > parse(ratio):
            yield (
                f"{name} max limit to request ratio per {kind} is {ratio}, but provided ratio is "
                f"{float(found):f}"
            )


def _amount(value: Any) -> Fraction:
    return value if isinstance(value, Fraction) else parse(value)


def _told(value: Any) -> str:
    return str(value) if not isinstance(value, Fraction) else f"{float(value):g}"
