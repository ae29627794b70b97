"""Pods, and the pod templates of everything that makes pods.

Owns: their defaults and their rules. Must never do: look at other objects. Values and words:
core/v1's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from apiserver_shim.api.status import Cause
from apiserver_shim.kinds.causes import (
    duplicate,
    forbidden,
    required,
    said,
    unknown,
    unsupported,
    wrong,
)
from apiserver_shim.kinds.places import fill, reached
from apiserver_shim.kinds.quantity import WORDS, parse

Object = dict[str, Any]
CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
PROTOCOLS = ("SCTP", "TCP", "UDP")
_POD_SPEC = {
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
    "terminationGracePeriodSeconds": 30,
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "volumes[].configMap.defaultMode": 420,
    "volumes[].secret.defaultMode": 420,
    "volumes[].projected.defaultMode": 420,
    "volumes[].downwardAPI.defaultMode": 420,
    "volumes[].hostPath.type": "",
    "volumes[].downwardAPI.items[].fieldRef.apiVersion": "v1",
    "volumes[].projected.sources[].serviceAccountToken.expirationSeconds": 3600,
    "volumes[].projected.sources[].downwardAPI.items[].fieldRef.apiVersion": "v1",
}
_CONTAINER = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": {},
    "ports[].protocol": "TCP",
    "env[].valueFrom.fieldRef.apiVersion": "v1",
}
_PROBE = {
    "timeoutSeconds": 1,
    "periodSeconds": 10,
    "successThreshold": 1,
    "failureThreshold": 3,
    "httpGet.path": "/",
    "httpGet.scheme": "HTTP",
    "grpc.service": "",
}
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def containers_of(spec: Object) -> Iterator[tuple[str, Object]]:
    """Path below the spec, and the container."""
    for name in CONTAINERS:
        for index, each in enumerate(spec.get(name) or ()):
            if isinstance(each, dict):
                yield f"{name}[{index}]", each


def default_pod(obj: Object, old: Object | None) -> None:
    """A pod has a little more than a template has."""
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return
    default_pod_spec(spec)
    fill(spec, {"enableServiceLinks": True})
    for _, container in containers_of(spec):
        resources = container["resources"]
        if isinstance(resources, dict) and resources.get("limits"):
            requests = resources.setdefault("requests", {})
            for name, value in resources["limits"].items():
                requests.setdefault(name, value)
    if old is None:
        obj["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}


def default_pod_spec(spec: Object) -> None:
    fill(spec, _POD_SPEC)
    for volume in spec.get("volumes") or ():
        if isinstance(volume, dict) and len(volume) == 1:
            volume["emptyDir"] = {}
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for _, container in containers_of(spec):
        fill(container, _CONTAINER)
        image = str(container.get("image", ""))
        container.setdefault("imagePullPolicy", _pull_policy(image))
        for probe in _PROBES:
            if isinstance(container.get(probe), dict):
                fill(container[probe], _PROBE)
        for hook in ("lifecycle.postStart.httpGet", "lifecycle.preStop.httpGet"):
            for each in reached(container, hook):
                fill(each, {"path": "/", "scheme": "HTTP"})
        if spec.get("hostNetwork"):
            for port in container.get("ports") or ():
                port.setdefault("hostPort", port.get("containerPort"))


def _pull_policy(image: str) -> str:
    """Always for :latest, said or not; an image named by digest never changes."""
    name = image.rpartition("/")[2]
    if "@" in name:
        return "IfNotPresent"
    _, _, tag = name.partition(":")
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def qos_class(spec: Object) -> str:
    found = [each.get("resources") or {} for _, each in containers_of(spec)]
    if not any(each.get("requests") or each.get("limits") for each in found):
        return "BestEffort"
    for each in found:
        limits, requests = each.get("limits") or {}, each.get("requests") or {}
        for name in ("cpu", "memory"):
            if name not in limits or requests.get(name, limits[name]) != limits[name]:
                return "Burstable"
    return "Guaranteed"


# --- rules --------------------------------------------------------------------------------------


def pod_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    spec = new.get("spec") or {}
    yield from pod_spec_violations(spec, "spec")
    if old is not None and _fixed(spec) != _fixed(old.get("spec") or {}):
        yield forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
            "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to "
            "be set to 1 if it was previously negative)",
        )
    if old is not None:
        before = (old.get("spec") or {}).get("tolerations") or []
        after = spec.get("tolerations") or []
        if any(each not in after for each in before):
            yield forbidden(
                "spec.tolerations",
                "existing toleration can not be modified except its tolerationSeconds",
            )


def _fixed(spec: Object) -> Object:
    """What no update changes: gates may go, and what follows from them or from fields told."""
    free = (
        "activeDeadlineSeconds",
        "tolerations",
        "terminationGracePeriodSeconds",
        "schedulingGates",
        "ephemeralContainers",
        "priority",
        "preemptionPolicy",
    )
    fixed = {name: value for name, value in spec.items() if name not in free}
    for name in ("containers", "initContainers"):
        if isinstance(fixed.get(name), list):
            fixed[name] = [
                {key: value for key, value in each.items() if key not in ("image",)}
                for each in fixed[name]
            ]
    return fixed


def pod_spec_violations(
    spec: Object,
    path: str,
    restart: tuple[str, ...] = ("Always", "Never", "OnFailure"),
    claims: frozenset[str] = frozenset(),
) -> Iterator[Cause]:
    """``restart``: the restart policies that fit whoever makes such pods; ``claims``: volumes that
    they get besides those of the spec."""
    volumes = set[str]()
    for index, each in enumerate(spec.get("volumes") or ()):
        yield from _name_violations(each.get("name", ""), f"{path}.volumes[{index}].name", volumes)
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    names = set[str]()
    for where, container in containers_of(spec):
        yield from _container_violations(container, f"{path}.{where}", names, volumes | claims)
    for name, supported in (
        ("restartPolicy", restart),
        ("dnsPolicy", ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")),
    ):
        if spec.get(name) not in (None, *supported):
            yield unsupported(f"{path}.{name}", spec[name], supported)
    grace = spec.get("terminationGracePeriodSeconds")
    if isinstance(grace, int) and grace < 0:
        yield wrong(
            f"{path}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0"
        )


def _name_violations(name: str, path: str, seen: set[str]) -> Iterator[Cause]:
    if not name:
        yield required(path)
    elif len(name) > 63:
        yield wrong(path, name, "must be no more than 63 characters")
    elif not DNS_LABEL.match(name):
        yield wrong(path, name, LABEL_WORDS)
    elif name in seen:
        yield duplicate(path, name)
    seen.add(name)


def _container_violations(
    container: Object, path: str, names: set[str], volumes: set[str]
) -> Iterator[Cause]:
    yield from _name_violations(container.get("name", ""), f"{path}.name", names)
    image = container.get("image", "")
    if not image:
        yield required(f"{path}.image")
    elif image != image.strip():
        yield wrong(f"{path}.image", image, "must not have leading or trailing whitespace")
    policies = ("Always", "IfNotPresent", "Never")
    if container.get("imagePullPolicy") not in (None, *policies):
        yield unsupported(f"{path}.imagePullPolicy", container["imagePullPolicy"], policies)
    yield from _port_violations(container.get("ports") or (), f"{path}.ports")
    for index, each in enumerate(container.get("env") or ()):
        if not each.get("name"):
            yield required(f"{path}.env[{index}].name")
        if each.get("value") and each.get("valueFrom"):
            words = "may not be specified when `value` is not empty"
            yield wrong(f"{path}.env[{index}].valueFrom", "", words)
    mounted = set[str]()
    for index, each in enumerate(container.get("volumeMounts") or ()):
        where = f"{path}.volumeMounts[{index}]"
        if each.get("name") not in volumes:
            yield unknown(f"{where}.name", each.get("name", ""))
        if each.get("mountPath") in mounted:
            yield wrong(f"{where}.mountPath", each["mountPath"], "must be unique")
        mounted.add(each.get("mountPath", ""))
    yield from resource_violations(container.get("resources") or {}, f"{path}.resources")


def _port_violations(ports: Any, path: str) -> Iterator[Cause]:
    names = set[str]()
    for index, each in enumerate(ports):
        where = f"{path}[{index}]"
        for name in ("containerPort", "hostPort"):
            if name in each and not 0 < each[name] < 65536:
                words = "must be between 1 and 65535, inclusive"
                yield wrong(f"{where}.{name}", each[name], words)
        if each.get("protocol", "TCP") not in PROTOCOLS:
            yield unsupported(f"{where}.protocol", each["protocol"], PROTOCOLS)
        if each.get("name"):
            if each["name"] in names:
                yield duplicate(f"{where}.name", each["name"])
            names.add(each["name"])


def resource_violations(resources: Object, path: str) -> Iterator[Cause]:
    """Requests do not exceed limits, and none is below nothing."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    amounts = {}
    for kind, found in (("limits", limits), ("requests", requests)):
        for name, text in found.items():
            where = f"{path}.{kind}[{name}]"
            try:
                amounts[kind, name] = parse(text)
            except ValueError:
                yield wrong(where, text, WORDS)
                continue
            if amounts[kind, name] < 0:
                yield wrong(where, str(text), "must be greater than or equal to 0")
    for name in requests:
        wanted, most = amounts.get(("requests", name)), amounts.get(("limits", name))
        if wanted is not None and most is not None and wanted > most:
            words = f"must be less than or equal to {name} limit of {limits[name]}"
            yield wrong(f"{path}.requests", str(requests[name]), words)


def template_violations(
    template: Object,
    path: str,
    restart: tuple[str, ...] = ("Always",),
    claims: frozenset[str] = frozenset(),
) -> Iterator[Cause]:
    yield from pod_spec_violations(template.get("spec") or {}, f"{path}.spec", restart, claims)


def labels_match(selector: Object, labels: Object) -> bool:
    """A LabelSelector of the kinds that make pods."""
    for name, value in (selector.get("matchLabels") or {}).items():
        if labels.get(name) != value:
            return False
    for each in selector.get("matchExpressions") or ():
        value, values = labels.get(each.get("key")), each.get("values") or ()
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }.get(each.get("operator", ""), False)
        if not holds:
            return False
    return True


def mismatch(labels: Object, path: str) -> Cause:
    told = f"Invalid value: {said(labels)}: `selector` does not match template `labels`"
    return Cause("FieldValueInvalid", told, f"{path}.metadata.labels")
