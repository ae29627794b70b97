"""What `kubectl get` shows of everything that runs no containers.

Owns: the rows of nodes, services, storage, access and the rest. Must never do: ask for another
object.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver_shim.views.cells import (
    NONE,
    UNSET,
    Object,
    access_modes,
    first_some,
    joined,
    look,
    selector_of,
)
from apiserver_shim.views.durations import UNKNOWN, since
from apiserver_shim.views.row import Cells, Row, columns

_ROLE_LABEL = "node-role.kubernetes.io/"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def _name(obj: Object) -> str:
    name: str = obj["metadata"]["name"]
    return name


def _age(obj: Object, now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def _plain(*paths: str) -> Cells:
    """Name, the values at ``paths`` (``?`` after one: what is missing is <unset>), age."""

    def cells(obj: Object, now: datetime) -> list[Any]:
        values = []
        for path in paths:
            missing = UNSET if path.endswith("?") else ""
            value = look(obj, path.rstrip("?"), missing)
            values.append(str(value).lower() if isinstance(value, bool) else value)
        return [_name(obj), *values, _age(obj, now)]

    return cells


def _created(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), obj["metadata"].get("creationTimestamp", "")]


def _node(obj: Object, now: datetime) -> list[Any]:
    conditions = {each["type"]: each["status"] for each in look(obj, "status.conditions", ())}
    ready = {"True": "Ready", "False": "NotReady"}.get(conditions.get("Ready", ""), "Unknown")
    if "Ready" in conditions and conditions["Ready"] == "Unknown":
        ready = "NotReady"
    if look(obj, "spec.unschedulable"):
        ready += ",SchedulingDisabled"
    labels = obj["metadata"].get("labels", {})
    roles = sorted(key[len(_ROLE_LABEL) :] for key in labels if key.startswith(_ROLE_LABEL))
    addresses = {each["type"]: each["address"] for each in look(obj, "status.addresses", ())}
    info = look(obj, "status.nodeInfo", {})
    return [
        _name(obj),
        ready,
        joined(roles),
        _age(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _service(obj: Object, now: datetime) -> list[Any]:
    kind = look(obj, "spec.type", "ClusterIP")
    ports = [
        f"{each['port']}:{each['nodePort']}/{each.get('protocol', 'TCP')}"
        if each.get("nodePort")
        else f"{each['port']}/{each.get('protocol', 'TCP')}"
        for each in look(obj, "spec.ports", ())
    ]
    return [
        _name(obj),
        kind,
        look(obj, "spec.clusterIP", NONE) or NONE,
        _external(obj, kind),
        joined(ports),
        _age(obj, now),
        selector_of(look(obj, "spec.selector")),
    ]


def _external(obj: Object, kind: str) -> str:
    outside = list(look(obj, "spec.externalIPs", ()))
    if kind == "ExternalName":
        return look(obj, "spec.externalName", "") or NONE
    if kind == "LoadBalancer":
        points = look(obj, "status.loadBalancer.ingress", ())
        found = [point.get("ip") or point.get("hostname", "") for point in points] + outside
        return joined(found, "<pending>")
    return joined(outside)


def _endpoints(obj: Object, now: datetime) -> list[Any]:
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets", ())
        for port in subset.get("ports", ())
        for address in subset.get("addresses", ())
    ]
    return [_name(obj), first_some(found), _age(obj, now)]


def _endpoint_slice(obj: Object, now: datetime) -> list[Any]:
    ports = [str(port.get("port", "*")) for port in obj.get("ports") or ()]
    addresses = [a for each in obj.get("endpoints") or () for a in each.get("addresses", ())]
    told = [first_some(ports) if ports else UNSET, first_some(addresses) if addresses else UNSET]
    return [_name(obj), obj.get("addressType", ""), *told, _age(obj, now)]


def _data(obj: Object, now: datetime) -> list[Any]:
    count = len(obj.get("data") or {}) + len(obj.get("binaryData") or {})
    return [_name(obj), count, _age(obj, now)]


def _secret(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("type", "Opaque"), len(obj.get("data") or {}), _age(obj, now)]


def _service_account(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), len(obj.get("secrets") or ()), _age(obj, now)]


def _event(obj: Object, now: datetime) -> list[Any]:
    involved = obj.get("involvedObject", {})
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last = look(obj, "series.lastObservedTime") or obj.get("lastTimestamp") or first
    count = look(obj, "series.count") or obj.get("count") or 1
    source = obj.get("source", {})
    who = source.get("component") or obj.get("reportingComponent", "")
    return [
        since(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{involved.get('kind', '').lower()}/{involved.get('name', '')}",
        involved.get("fieldPath", ""),
        joined([each for each in (who, source.get("host")) if each], ""),
        str(obj.get("message", "")).strip(),
        since(first, now),
        count,
        _name(obj),
    ]


def _volume(obj: Object, now: datetime) -> list[Any]:
    claim = look(obj, "spec.claimRef")
    phase = look(obj, "status.phase", "")
    return [
        _name(obj),
        look(obj, "spec.capacity.storage", ""),
        access_modes(look(obj, "spec.accessModes", ())),
        look(obj, "spec.persistentVolumeReclaimPolicy", ""),
        "Terminating" if "deletionTimestamp" in obj["metadata"] else phase,
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        look(obj, "spec.storageClassName", ""),
        look(obj, "spec.volumeAttributesClassName", UNSET),
        look(obj, "status.reason", ""),
        _age(obj, now),
        look(obj, "spec.volumeMode", UNSET),
    ]


def _claim(obj: Object, now: datetime) -> list[Any]:
    phase = look(obj, "status.phase", "")
    bound = bool(look(obj, "spec.volumeName"))
    return [
        _name(obj),
        "Terminating" if "deletionTimestamp" in obj["metadata"] else phase,
        look(obj, "spec.volumeName", ""),
        look(obj, "status.capacity.storage", "") if bound else "",
        access_modes(look(obj, "status.accessModes", ())) if bound else "",
        look(obj, "spec.storageClassName", ""),
        look(obj, "spec.volumeAttributesClassName", UNSET),
        _age(obj, now),
        look(obj, "spec.volumeMode", UNSET),
    ]


def _ingress(obj: Object, now: datetime) -> list[Any]:
    hosts = [rule["host"] for rule in look(obj, "spec.rules", ()) if rule.get("host")]
    points = look(obj, "status.loadBalancer.ingress", ())
    return [
        _name(obj),
        look(obj, "spec.ingressClassName", NONE),
        first_some(hosts) if hosts else "*",
        joined((point.get("ip") or point.get("hostname", "") for point in points), ""),
        "80, 443" if look(obj, "spec.tls") else "80",
        _age(obj, now),
    ]


def _network_policy(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), selector_of(look(obj, "spec.podSelector")), _age(obj, now)]


def _budget(obj: Object, now: datetime) -> list[Any]:
    least, most = look(obj, "spec.minAvailable", "N/A"), look(obj, "spec.maxUnavailable", "N/A")
    allowed = look(obj, "status.disruptionsAllowed", 0)
    return [_name(obj), str(least), str(most), allowed, _age(obj, now)]


def _binding(obj: Object, now: datetime) -> list[Any]:
    subjects = obj.get("subjects") or ()

    def named(kind: str) -> str:
        found = [
            f"{each['namespace']}/{each['name']}" if each.get("namespace") else each["name"]
            for each in subjects
            if each.get("kind") == kind
        ]
        return ", ".join(found)

    ref = obj.get("roleRef", {})
    role = f"{ref.get('kind', '')}/{ref.get('name', '')}"
    who = [named(kind) for kind in ("User", "Group", "ServiceAccount")]
    return [_name(obj), role, _age(obj, now), *who]


def _storage_class(obj: Object, now: datetime) -> list[Any]:
    annotations = obj["metadata"].get("annotations", {})
    default = " (default)" if annotations.get(_DEFAULT_CLASS) == "true" else ""
    return [
        _name(obj) + default,
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        str(obj.get("allowVolumeExpansion", False)).lower(),
        _age(obj, now),
    ]


def _quota(obj: Object, now: datetime) -> list[Any]:
    used = look(obj, "status.used", {})
    told: dict[bool, list[str]] = {False: [], True: []}
    for name, hard in sorted(look(obj, "status.hard", {}).items()):
        told[name.startswith("limits.")].append(f"{name}: {used.get(name, '0')}/{hard}")
    return [_name(obj), ", ".join(told[False]), ", ".join(told[True]), _age(obj, now)]


_BINDING = Row(
    columns("Name", "Role", "Age", wide=("Users", "Groups", "ServiceAccounts")), _binding
)
_CREATED = Row(columns("Name", "Created At"), _created)
_RBAC = "rbac.authorization.k8s.io"
CLUSTER_ROWS: dict[tuple[str, str], Row] = {
    ("", "Node"): Row(
        columns(
            "Name",
            "Status",
            "Roles",
            "Age",
            "Version",
            wide=(
                "Internal-IP",
                "External-IP",
                "OS-Image",
                "Kernel-Version",
                "Container-Runtime",
            ),
        ),
        _node,
    ),
    ("", "Namespace"): Row(columns("Name", "Status", "Age"), _plain("status.phase")),
    ("", "Service"): Row(
        columns("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", wide=("Selector",)),
        _service,
    ),
    ("", "Endpoints"): Row(columns("Name", "Endpoints", "Age"), _endpoints),
    ("", "ConfigMap"): Row(columns("Name", "Data#", "Age"), _data),
    ("", "Secret"): Row(columns("Name", "Type", "Data#", "Age"), _secret),
    ("", "ServiceAccount"): Row(columns("Name", "Secrets#", "Age"), _service_account),
    ("", "LimitRange"): _CREATED,
    ("", "ResourceQuota"): Row(columns("Name", "Request", "Limit", "Age"), _quota),
    ("", "PersistentVolume"): Row(
        columns(
            "Name",
            "Capacity",
            "Access Modes",
            "Reclaim Policy",
            "Status",
            "Claim",
            "StorageClass",
            "VolumeAttributesClass",
            "Reason",
            "Age",
            wide=("VolumeMode",),
        ),
        _volume,
    ),
    ("", "PersistentVolumeClaim"): Row(
        columns(
            "Name",
            "Status",
            "Volume",
            "Capacity",
            "Access Modes",
            "StorageClass",
            "VolumeAttributesClass",
            "Age",
            wide=("VolumeMode",),
        ),
        _claim,
    ),
    ("discovery.k8s.io", "EndpointSlice"): Row(
        columns("Name", "AddressType", "Ports", "Endpoints", "Age"), _endpoint_slice
    ),
    ("networking.k8s.io", "Ingress"): Row(
        columns("Name", "Class", "Hosts", "Address", "Ports", "Age"), _ingress
    ),
    ("networking.k8s.io", "IngressClass"): Row(
        columns("Name", "Controller", "Parameters", "Age"),
        lambda obj, now: [
            _name(obj),
            look(obj, "spec.controller", ""),
            look(obj, "spec.parameters.name", NONE),
            _age(obj, now),
        ],
    ),
    ("networking.k8s.io", "NetworkPolicy"): Row(
        columns("Name", "Pod-Selector", "Age"), _network_policy
    ),
    ("policy", "PodDisruptionBudget"): Row(
        columns("Name", "Min Available", "Max Unavailable", "Allowed Disruptions#", "Age"), _budget
    ),
    (_RBAC, "Role"): _CREATED,
    (_RBAC, "ClusterRole"): _CREATED,
    (_RBAC, "RoleBinding"): _BINDING,
    (_RBAC, "ClusterRoleBinding"): _BINDING,
    ("scheduling.k8s.io", "PriorityClass"): Row(
        columns("Name", "Value#", "Global-Default", "Age"),
        lambda obj, now: [
            _name(obj),
            obj.get("value", 0),
            str(obj.get("globalDefault", False)).lower(),
            _age(obj, now),
        ],
    ),
    ("storage.k8s.io", "StorageClass"): Row(
        columns(
            "Name",
            "Provisioner",
            "ReclaimPolicy",
            "VolumeBindingMode",
            "AllowVolumeExpansion",
            "Age",
        ),
        _storage_class,
    ),
    ("storage.k8s.io", "CSINode"): Row(
        columns("Name", "Drivers#", "Age"),
        lambda obj, now: [_name(obj), len(look(obj, "spec.drivers", ())), _age(obj, now)],
    ),
    ("storage.k8s.io", "VolumeAttachment"): Row(
        columns("Name", "Attacher", "PV", "Node", "Attached", "Age"),
        _plain(
            "spec.attacher", "spec.source.persistentVolumeName", "spec.nodeName", "status.attached"
        ),
    ),
    ("coordination.k8s.io", "Lease"): Row(
        columns("Name", "Holder", "Age"), _plain("spec.holderIdentity")
    ),
    ("node.k8s.io", "RuntimeClass"): Row(columns("Name", "Handler", "Age"), _plain("handler")),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _CREATED,
}
EVENT_ROW = Row(
    (
        *columns("Last Seen", "Type", "Reason", "Object"),
        *columns(wide=("Subobject", "Source")),
        *columns("Message"),
        *columns(wide=("First Seen", "Count#", "Name")),
    ),
    _event,
)
CLUSTER_ROWS[("", "Event")] = EVENT_ROW
