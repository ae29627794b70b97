"""Which names the cluster has, by Kubernetes' DNS specification 1.1.0.

Owns: the names and their records: A, SRV and PTR. Must never do: know messages or sockets.

    web.default.svc.cluster.local                       A    the cluster address, or all endpoints
    _http._tcp.web.default.svc.cluster.local            SRV  the named port
    web-0.web.default.svc.cluster.local                 A    an endpoint of a headless service
    127-64-0-3.default.pod.cluster.local                A    a pod
    3.0.64.127.in-addr.arpa                             PTR
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apiserver_shim.components.api_client import Object

DOMAIN = "cluster.local"
SCHEMA_VERSION = "1.1.0"
SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Record:
    """``value``: an address, a name, a text, or for SRV ``priority weight port target``."""

    name: str
    type: str
    value: str


class Zone:
    """All records by name. A name without records of a type still exists (no NXDOMAIN)."""

    def __init__(self, records: Iterable[Record], domain: str = DOMAIN) -> None:
        self.domain = domain
        self._by_name: dict[str, list[Record]] = {}
        self._exists: set[str] = {domain}
        for record in records:
            self._by_name.setdefault(record.name, []).append(record)
            labels = record.name.split(".")
            self._exists |= {".".join(labels[at:]) for at in range(len(labels))}

    def holds(self, name: str) -> bool:
        """Whether the name is ours to answer for."""
        return name == self.domain or name.endswith((f".{self.domain}", ".in-addr.arpa"))

    def exists(self, name: str) -> bool:
        return name in self._exists or self._pod_address(name) is not None

    def find(self, name: str, kind: str) -> list[Record]:
        """``kind`` is a type or ANY. Names in lower case without the last dot."""
        address = self._pod_address(name)
        found = [Record(name, "A", address)] if address else self._by_name.get(name, [])
        return [each for each in found if kind in ("ANY", each.type)]

    def _pod_address(self, name: str) -> str | None:
        """``1-2-3-4.namespace.pod.cluster.local`` needs no object, as the specification says."""
        suffix = f".pod.{self.domain}"
        labels = name.removesuffix(suffix).split(".")
        if not name.endswith(suffix) or len(labels) != 2:
            return None
        try:
            return str(ipaddress.IPv4Address(labels[0].replace("-", ".")))
        except ValueError:
            return None


def records_of(
    services: Iterable[Object], slices: Iterable[Object], domain: str = DOMAIN
) -> Iterator[Record]:
    yield Record(f"dns-version.{domain}", "TXT", SCHEMA_VERSION)
    by_service: dict[tuple[str, str], list[Object]] = {}
    for each in slices:
        name = (each["metadata"].get("labels") or {}).get(SERVICE_LABEL, "")
        by_service.setdefault((each["metadata"]["namespace"], name), []).append(each)
    for service in services:
        metadata, spec = service["metadata"], service["spec"]
        where = f"{metadata['name']}.{metadata['namespace']}.svc.{domain}"
        if spec.get("type") == "ExternalName":
            yield Record(where, "CNAME", spec["externalName"].rstrip("."))
        elif spec.get("clusterIP") == "None":
            found = by_service.get((metadata["namespace"], metadata["name"]), ())
            yield from _headless(where, found, bool(spec.get("publishNotReadyAddresses")))
        elif spec.get("clusterIP"):
            yield from _with_address(where, spec)


def _with_address(where: str, spec: Object) -> Iterator[Record]:
    yield Record(where, "A", spec["clusterIP"])
    yield Record(reverse(spec["clusterIP"]), "PTR", where)
    for port in spec.get("ports") or ():
        if port.get("name"):
            name = f"_{port['name']}._{port.get('protocol', 'TCP').lower()}.{where}"
            yield Record(name, "SRV", f"0 100 {port['port']} {where}")


def _headless(where: str, slices: Iterable[Object], unready: bool) -> Iterator[Record]:
    for each in slices:
        for endpoint in each.get("endpoints") or ():
            if endpoint.get("conditions", {}).get("ready") is False and not unready:
                continue
            for address in endpoint["addresses"]:
                host = f"{endpoint.get('hostname') or address.replace('.', '-')}.{where}"
                yield Record(where, "A", address)
                yield Record(host, "A", address)
                yield Record(reverse(address), "PTR", host)
                for port in each.get("ports") or ():
                    if port.get("name"):
                        name = f"_{port['name']}._{port.get('protocol', 'TCP').lower()}.{where}"
                        yield Record(name, "SRV", f"0 100 {port['port']} {host}")


def reverse(address: str) -> str:
    return ipaddress.ip_address(address).reverse_pointer
