"""Discovery: which groups, versions and resources there are, in both forms clients ask for.

Owns: /api, /apis and the documents below them. Must never do: name what is not served: the
garbage collector and kubectl believe every word.
"""

from __future__ import annotations

from typing import Any

from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.resources.resource import Resource

_SUBRESOURCE_KINDS = {
    "scale": ("autoscaling", "v1", "Scale"),
    "binding": ("", "v1", "Binding"),
    "eviction": ("policy", "v1", "Eviction"),
    "exec": ("", "v1", "PodExecOptions"),
    "attach": ("", "v1", "PodAttachOptions"),
    "portforward": ("", "v1", "PodPortForwardOptions"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
}
_SUBRESOURCE_VERBS = {
    "binding": ["create"],
    "eviction": ["create"],
    "token": ["create"],
    "log": ["get"],
    "exec": ["create", "get"],
    "attach": ["create", "get"],
    "portforward": ["create", "get"],
    "finalize": ["update"],
}


def core_versions(address: str) -> dict[str, Any]:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def group_list(catalogue: Catalogue) -> dict[str, Any]:
    groups = [group_of(name, versions) for name, versions in sorted(catalogue.groups().items())]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group_of(name: str, versions: list[str]) -> dict[str, Any]:
    told = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": told, "preferredVersion": told[0]}


def resource_list(catalogue: Catalogue, group: str, version: str) -> dict[str, Any]:
    told: list[dict[str, Any]] = []
    for resource in catalogue.served_at(group, version):
        told.append(_resource(resource))
        told.extend(_subresource(resource, name) for name in resource.subresources)
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": told,
    }


def _resource(resource: Resource) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": sorted(resource.verbs),
    }
    if resource.short_names:
        told["shortNames"] = list(resource.short_names)
    if resource.categories:
        told["categories"] = list(resource.categories)
    return told


def _subresource(resource: Resource, name: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _SUBRESOURCE_VERBS.get(name, ["get", "patch", "update"]),
    }
    if name in _SUBRESOURCE_KINDS:
        group, version, kind = _SUBRESOURCE_KINDS[name]
        told |= {"group": group, "version": version, "kind": kind}
    return told


def aggregated(catalogue: Catalogue, version: str, *, core: bool) -> dict[str, Any]:
    """APIGroupDiscoveryList: everything below /api or below /apis in one document."""
    groups = {"": ["v1"]} if core else catalogue.groups()
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": name, "creationTimestamp": None} if name else {},
                "versions": [
                    {
                        "version": version,
                        "freshness": "Current",
                        "resources": [
                            _aggregated_resource(resource)
                            for resource in catalogue.served_at(name, version)
                        ],
                    }
                    for version in versions
                ],
            }
            for name, versions in sorted(groups.items())
        ],
    }


def _aggregated_resource(resource: Resource) -> dict[str, Any]:
    told: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": _kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": sorted(resource.verbs),
    }
    if resource.short_names:
        told["shortNames"] = list(resource.short_names)
    if resource.categories:
        told["categories"] = list(resource.categories)
    if resource.subresources:
        told["subresources"] = [_aggregated_subresource(resource, s) for s in resource.subresources]
    return told


def _aggregated_subresource(resource: Resource, name: str) -> dict[str, Any]:
    own = (resource.group, resource.version, resource.kind)
    return {
        "subresource": name,
        "responseKind": _kind(*_SUBRESOURCE_KINDS.get(name, own)),
        "verbs": _SUBRESOURCE_VERBS.get(name, ["get", "patch", "update"]),
    }


def _kind(group: str, version: str, kind: str) -> dict[str, str]:
    return {"group": group, "version": version, "kind": kind}
