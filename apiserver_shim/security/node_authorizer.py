"""What a kubelet may do: its node's work, and what the pods bound to its node need.

Owns: the decision for users system:node:* of the group system:nodes. Must never do: give a node
another node's secrets. Modelled on Kubernetes' Node authorizer and NodeRestriction, simpler: there
is no graph; the pods of the copy are looked through, and only for secrets, configmaps, tokens
and writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apiserver_shim.api.admission import Write
from apiserver_shim.api.status import forbidden
from apiserver_shim.api.user import NODE_PREFIX, NODES, User
from apiserver_shim.security.attributes import Attributes
from apiserver_shim.store.mirror import Mirror

PODS = "/registry/pods/"
MIRROR_POD = "kubernetes.io/config.mirror"
_READ = ("get", "list", "watch")
_READ_FREELY = {
    ("", "pods"),
    ("", "services"),
    ("", "nodes"),
    ("", "endpoints"),
    ("", "persistentvolumes"),
    ("", "persistentvolumeclaims"),
    ("node.k8s.io", "runtimeclasses"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "volumeattachments"),
    ("discovery.k8s.io", "endpointslices"),
}
_REVIEWS = ("tokenreviews", "subjectaccessreviews", "localsubjectaccessreviews")


class NodeAuthorizer:
    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror

    def allows(self, asked: Attributes) -> bool:
        node = node_of(asked.user)
        if not node or asked.path:
            return False
        match asked.group, asked.combined:
            case "", ("secrets" | "configmaps") as kind:
                return asked.verb in _READ and self._is_used(node, kind, asked)
            case "", "serviceaccounts/token":
                return asked.verb == "create" and self._is_account_used(node, asked)
            case "", "serviceaccounts":
                return asked.verb == "get" and self._is_account_used(node, asked)
            case "", "nodes" | "nodes/status":
                return self._may_touch_node(node, asked)
            case "", "pods" | "pods/status" | "pods/eviction":
                return self._may_touch_pod(asked)
            case "coordination.k8s.io", "leases":
                return asked.namespace == "kube-node-lease" and asked.name in (
                    ("", node) if asked.verb == "create" else (node,)
                )
            case ("", "events") | ("events.k8s.io", "events"):
                return asked.verb in ("create", "update", "patch")
            case _, resource if resource in _REVIEWS:
                return asked.verb == "create"
        return asked.verb in _READ and (asked.group, asked.combined) in _READ_FREELY

    def _may_touch_node(self, node: str, asked: Attributes) -> bool:
        if asked.verb in _READ and not asked.subresource:
            return True
        if asked.verb == "create":
            return not asked.subresource  # the step below looks at the name
        return asked.verb in ("update", "patch") and asked.name == node

    def _may_touch_pod(self, asked: Attributes) -> bool:
        """Whose pod it is, the step below asks: there the stored one is at hand."""
        if asked.subresource:
            wanted = ("create",) if asked.subresource == "eviction" else ("update", "patch")
            return asked.verb in wanted
        return asked.verb in (*_READ, "create", "delete")

    def _pods(self, node: str, namespace: str) -> Iterator[dict[str, Any]]:
        for stored in self._mirror.collection(PODS).objects(f"{PODS}{namespace}/"):
            if _is_bound(stored.object, node):
                yield stored.object

    def _is_used(self, node: str, kind: str, asked: Attributes) -> bool:
        if not asked.name or not asked.namespace:
            return False
        return any(asked.name in _names(pod, kind) for pod in self._pods(node, asked.namespace))

    def _is_account_used(self, node: str, asked: Attributes) -> bool:
        if not asked.name or not asked.namespace:
            return False
        return any(
            pod["spec"].get("serviceAccountName", "default") == asked.name
            for pod in self._pods(node, asked.namespace)
        )


async def restrict_nodes(write: Write) -> None:
    """A kubelet makes its own node, and mirrors of its own static pods; it changes and removes
    pods that are bound to it."""
    node = node_of(write.user)
    if not node:
        return
    resource, name = write.target.resource, write.target.name
    if write.old is None and write.new is not None:
        name = write.new["metadata"].get("name", "")
        if resource.plural in ("nodes", "leases") and name != node:
            why = f'node "{node}" is not allowed to modify {resource.singular} "{name}"'
            raise forbidden(resource, name, why)
    if resource.plural != "pods" or resource.group:
        return
    if write.old is not None:
        if not _is_bound(write.old, node):
            why = f'node "{node}" can only change pods with spec.nodeName set to itself'
            raise forbidden(resource, name, why)
    elif write.new is not None and not _is_mirror(write.new, node):
        why = (
            f'node "{node}" can only create mirror pods (annotation {MIRROR_POD}) with '
            "spec.nodeName set to itself, without secrets, configmaps or a service account"
        )
        raise forbidden(resource, name, why)


def _is_mirror(pod: dict[str, Any], node: str) -> bool:
    annotations = pod["metadata"].get("annotations") or {}
    account = pod.get("spec", {}).get("serviceAccountName", "default")
    return (
        MIRROR_POD in annotations
        and _is_bound(pod, node)
        and account in ("", "default")
        and not any(_references(pod))
    )


def node_of(user: User) -> str:
    """The node's name; empty for who is no kubelet."""
    if NODES not in user.groups or not user.name.startswith(NODE_PREFIX):
        return ""
    return user.name.removeprefix(NODE_PREFIX)


def _is_bound(pod: dict[str, Any], node: str) -> bool:
    return bool(pod.get("spec", {}).get("nodeName") == node)


def _names(pod: dict[str, Any], kind: str) -> set[str]:
    return {name for found, name in _references(pod) if found == kind}


def _references(pod: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """All secrets and configmaps that the pod names, as (plural, name)."""
    spec = pod.get("spec", {})
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", secret.get("name", "")
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume)
        for source in (volume.get("projected") or {}).get("sources") or ():
            for field, plural in (("secret", "secrets"), ("configMap", "configmaps")):
                if field in source:
                    yield plural, source[field].get("name", "")
    for field in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            yield from _of_container(container)


def _of_volume(volume: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "secret" in volume:
        yield "secrets", volume["secret"].get("secretName", "")
    if "configMap" in volume:
        yield "configmaps", volume["configMap"].get("name", "")


def _of_container(container: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for source in container.get("envFrom") or ():
        for field, plural in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
            if field in source:
                yield plural, source[field].get("name", "")
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        for field, plural in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
            if field in source:
                yield plural, source[field].get("name", "")
