"""Services: their defaults and their rules.

Owns: what follows from the object alone. Must never do: hand out addresses; admission does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apiserver_shim.api.status import Cause
from apiserver_shim.kinds.causes import duplicate, forbidden, required, unsupported, wrong
from apiserver_shim.kinds.places import fill
from apiserver_shim.kinds.pods import DNS_LABEL, LABEL_WORDS, PROTOCOLS

Object = dict[str, Any]
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
EXPOSED = ("NodePort", "LoadBalancer")
AFFINITY_S = 10800


def default_service(obj: Object, old: Object | None) -> None:
    spec = obj.setdefault("spec", {})
    if not isinstance(spec, dict):
        return
    fill(spec, {"type": "ClusterIP", "sessionAffinity": "None", "ports[].protocol": "TCP"})
    for port in spec.get("ports") or ():
        if not port.get("targetPort") and "port" in port:
            port["targetPort"] = port["port"]
    if spec["sessionAffinity"] == "ClientIP":
        fill(spec, {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": AFFINITY_S}}})
    elif spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    if spec["type"] in EXPOSED:
        fill(spec, {"externalTrafficPolicy": "Cluster"})
    else:
        spec.pop("externalTrafficPolicy", None)
    if spec["type"] == "LoadBalancer":
        fill(spec, {"allocateLoadBalancerNodePorts": True})
    else:
        spec.pop("allocateLoadBalancerNodePorts", None)
    if old is None:
        obj["status"] = {"loadBalancer": {}}
    if spec["type"] == "ExternalName":
        return
    fill(
        spec,
        {
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
        },
    )
    if old is not None and "clusterIP" not in spec:
        before = old.get("spec") or {}
        for name in ("clusterIP", "clusterIPs"):
            if name in before and before.get("type") != "ExternalName":
                spec[name] = before[name]
    if old is not None:
        _keep_node_ports(spec, old.get("spec") or {})


def _keep_node_ports(spec: Object, before: Object) -> None:
    """A port that was exposed keeps its number, unless the service is not exposed any more."""
    if spec["type"] not in EXPOSED:
        if before.get("type") in EXPOSED:
            for port in spec.get("ports") or ():
                port.pop("nodePort", None)
        return
    known = {(p.get("port"), p.get("protocol")): p.get("nodePort") for p in before.get("ports", ())}
    for port in spec.get("ports") or ():
        number = known.get((port.get("port"), port.get("protocol")))
        if number and not port.get("nodePort"):
            port["nodePort"] = number


def service_violations(new: Object, old: Object | None) -> Iterator[Cause]:
    spec = new.get("spec") or {}
    ports, kind = spec.get("ports") or [], spec.get("type")
    if kind not in TYPES:
        yield unsupported("spec.type", kind, TYPES)
    if kind == "ExternalName":
        if not spec.get("externalName"):
            yield required("spec.externalName")
    elif not ports and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    yield from _port_violations(ports)
    if spec.get("sessionAffinity") not in ("ClientIP", "None"):
        supported = ("ClientIP", "None")
        yield unsupported("spec.sessionAffinity", spec.get("sessionAffinity"), supported)
    if spec.get("clusterIP") == "None" and kind in EXPOSED:
        words = f"may not be set to 'None' for {kind} services"
        yield wrong("spec.clusterIPs[0]", "None", words)
    if kind == "ClusterIP":
        for index, port in enumerate(ports):
            if port.get("nodePort"):
                words = "may not be used when `type` is 'ClusterIP'"
                yield forbidden(f"spec.ports[{index}].nodePort", words)
    before = (old or {}).get("spec") or {}
    held = before.get("clusterIP")
    if held and "ExternalName" not in (kind, before.get("type")) and spec.get("clusterIP") != held:
        words = "may not change once set"
        yield wrong("spec.clusterIPs[0]", spec.get("clusterIP", ""), words)


def _port_violations(ports: list[Object]) -> Iterator[Cause]:
    names, numbers = set[str](), set[tuple[Any, Any]]()
    for index, port in enumerate(ports):
        where = f"spec.ports[{index}]"
        name = port.get("name", "")
        if not name and len(ports) > 1:
            yield required(f"{where}.name")
        elif name and not DNS_LABEL.match(name):
            yield wrong(f"{where}.name", name, LABEL_WORDS)
        elif name in names:
            yield duplicate(f"{where}.name", name)
        names.add(name)
        words = "must be between 1 and 65535, inclusive"
        if not 0 < port.get("port", 0) < 65536:
            yield wrong(f"{where}.port", port.get("port", 0), words)
        target = port.get("targetPort")
        if isinstance(target, int) and not 0 < target < 65536:
            yield wrong(f"{where}.targetPort", target, words)
        if port.get("protocol") not in PROTOCOLS:
            yield unsupported(f"{where}.protocol", port.get("protocol"), PROTOCOLS)
        number = (port.get("port"), port.get("protocol"))
        if number in numbers:
            yield duplicate(where, {"port": number[0], "protocol": number[1]})
        numbers.add(number)
