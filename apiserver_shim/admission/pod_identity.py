"""ServiceAccount and Priority: what a new pod gets from objects that it names.

Owns: both steps. Must never do: make what is named. A real apiserver also mounts a token into
each container; here the kubelet's processes do without.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apiserver_shim.api.admission import Write
from apiserver_shim.api.status import forbidden
from apiserver_shim.parts import Parts

DEFAULT_ACCOUNT = "default"
MIRROR_POD = "kubernetes.io/config.mirror"
SYSTEM_CLASSES = {
    "system-cluster-critical": 2_000_000_000,
    "system-node-critical": 2_000_001_000,
}


def _is_new_pod(write: Write) -> bool:
    resource = write.target.resource
    return (
        (resource.group, resource.kind) == ("", "Pod")
        and write.new is not None
        and write.old is None
        and isinstance(write.new.get("spec"), dict)
    )


class ServiceAccounts:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, write: Write) -> None:
        """Raises 403 for an account that is not there."""
        if not _is_new_pod(write):
            return
        assert write.new is not None, "a new pod is there"
        spec, namespace = write.new["spec"], write.target.namespace
        if MIRROR_POD in write.new["metadata"].get("annotations", {}):
            return
        name = spec.setdefault("serviceAccountName", DEFAULT_ACCOUNT)
        spec["serviceAccount"] = name
        accounts = self._parts.catalogue.find("", "v1", "serviceaccounts")
        assert accounts is not None, "serviceaccounts are not served"
        key = accounts.key(namespace, name)
        found = self._parts.mirror.collection(accounts.prefix).get(key)
        if found is None:
            found = await self._parts.registry.get(key)
        if found is None:
            why = (
                f"error looking up service account {namespace}/{name}: "
                f'serviceaccount "{name}" not found'
            )
            raise forbidden(write.target.resource, write.new["metadata"]["name"], why)
        secrets = found.object.get("imagePullSecrets")
        if secrets and not spec.get("imagePullSecrets"):
            spec["imagePullSecrets"] = list(secrets)


class Priorities:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, write: Write) -> None:
        """Raises 403 for a class that is not there, and for a number of the pod's own."""
        if not _is_new_pod(write):
            return
        assert write.new is not None, "a new pod is there"
        spec, told = write.new["spec"], write.new["metadata"]["name"]
        name = spec.get("priorityClassName", "")
        found = self._named(name) if name else self._default()
        if name and found is None:
            why = f"no PriorityClass with name {name} was found"
            raise forbidden(write.target.resource, told, why)
        value = found["value"] if found else 0
        if spec.get("priority") not in (None, value):
            why = (
                f"the integer value of priority ({spec['priority']}) must not be provided in pod "
                f"spec; priority admission controller computed {value} from the given "
                "PriorityClass name"
            )
            raise forbidden(write.target.resource, told, why)
        if found:
            spec["priorityClassName"] = found["metadata"]["name"]
        spec["priority"] = value
        spec.setdefault(
            "preemptionPolicy", (found or {}).get("preemptionPolicy", "PreemptLowerPriority")
        )

    def _classes(self) -> Iterator[dict[str, Any]]:
        classes = self._parts.catalogue.find("scheduling.k8s.io", "v1", "priorityclasses")
        assert classes is not None, "priorityclasses are not served"
        for each in self._parts.mirror.collection(classes.prefix).objects(classes.prefix):
            yield each.object

    def _named(self, name: str) -> dict[str, Any] | None:
        for each in self._classes():
            if each["metadata"]["name"] == name:
                return each
        if name in SYSTEM_CLASSES:
            return {"metadata": {"name": name}, "value": SYSTEM_CLASSES[name]}
        return None

    def _default(self) -> dict[str, Any] | None:
        """Of several, the lowest: as a real apiserver chooses."""
        found = [each for each in self._classes() if each.get("globalDefault")]
        return min(found, key=lambda each: int(each["value"]), default=None)
