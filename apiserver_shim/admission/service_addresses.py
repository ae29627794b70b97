"""Cluster IPs and node ports: handed to services, each to one at a time.

Owns: the choice. Must never do: give an address twice. What is in use is what the services in the
copy hold; what is about to be used is claimed by a key of its own, which only one writer can make
and which its lease takes away when the service has long been in everybody's copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, ip_address
from itertools import islice
from typing import Any

import orjson

from apiserver_shim.api.admission import Write
from apiserver_shim.api.status import Cause, internal, invalid
from apiserver_shim.kinds.causes import wrong
from apiserver_shim.kinds.services import EXPOSED
from apiserver_shim.parts import Parts
from apiserver_shim.resources.resource import Resource
from apiserver_shim.store.event_leases import EventLeases

CLUSTER_RANGE = "10.96.0.0/16"
NODE_PORTS = (30000, 32767)
CLAIM_S = 60
"""A write that takes longer than this between its claim and its service is not safe."""
TRIES_MAX = 64
"""Free addresses that others claim just now, before it is given up."""
_IPS, _PORTS = "/registry/ranges/serviceips/", "/registry/ranges/servicenodeports/"

Object = dict[str, Any]


class ServiceAddresses:
    """``claims`` gives leases of at least CLAIM_S. The first address of the range is kept for the
    service `kubernetes`, as in a real apiserver."""

    def __init__(self, parts: Parts, claims: EventLeases, cidr: str = CLUSTER_RANGE) -> None:
        self._parts = parts
        self._claims = claims
        self._network = IPv4Network(cidr)
        self._first = str(self._network.network_address + 1)
        found = parts.catalogue.find("", "v1", "services")
        assert found is not None, "services are not served"
        self._services: Resource = found

    async def __call__(self, write: Write) -> None:
        """Fill in spec.clusterIP(s) and nodePorts. Raises 422 for those that are taken."""
        if write.target.resource is not self._services or write.target.subresource:
            return
        if write.new is None:
            await self._release(write, (write.old or {}).get("spec") or {})
            return
        obj, spec = write.new, write.new["spec"]
        who = f"{write.target.namespace}/{obj['metadata']['name']}"
        before = ((write.old or {}).get("spec")) or {}
        if spec.get("type") == "ExternalName":
            for name in ("clusterIP", "clusterIPs"):
                spec.pop(name, None)
            return
        if spec.get("clusterIPs") and not spec.get("clusterIP"):
            spec["clusterIP"] = spec["clusterIPs"][0]
        held = before.get("clusterIP")
        wanted = spec.get("clusterIP", "")
        is_new = wanted not in ("None", held) or not wanted
        if is_new and not (held and wanted):  # to change one that is set is against the rules
            spec["clusterIP"] = await self._address(write, wanted, who)
        spec["clusterIPs"] = [spec["clusterIP"]]
        if spec.get("type") in EXPOSED and spec.get("allocateLoadBalancerNodePorts") is not False:
            await self._node_ports(write, spec, before, who)

    async def _address(self, write: Write, wanted: str, who: str) -> str:
        await self._parts.mirror.catch_up()
        used = {each["spec"].get("clusterIP") for each in self._all()}
        if wanted:
            self._check_address(write, wanted, used)
            if not await self._claim(write, _IPS + wanted, who):
                self._taken(write, wanted)
            return wanted
        if write.target.namespace == "default" and who == "default/kubernetes":
            return self._first
        hosts = self._network.num_addresses - 3  # neither the net, its end, nor the first
        start, base = self._parts.random.randrange(hosts), self._network.network_address + 2
        free = (str(base + (start + n) % hosts) for n in range(hosts))
        found = await self._first_claimed(write, _IPS, (a for a in free if a not in used), who)
        if not found:
            raise internal(f"failed to allocate IP: the range {self._network} is full")
        return found

    async def _first_claimed(self, write: Write, prefix: str, free: Iterator[str], who: str) -> str:
        """Of those that no service has; empty if others claim them all."""
        for each in islice(free, TRIES_MAX):
            if await self._claim(write, prefix + each, who):
                return each
        return ""

    def _check_address(self, write: Write, wanted: str, used: set[str]) -> None:
        field, name = "spec.clusterIPs", write.new["metadata"]["name"] if write.new else ""
        try:
            inside = ip_address(wanted) in self._network
        except ValueError:
            words = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            cause = wrong(f"{field}[0]", wanted, words)
            raise invalid(self._services, name, [cause]) from None
        if not inside:
            words = (
                f"failed to allocate IP {wanted}: the provided IP ({wanted}) is not in the valid "
                f"range. The range of valid IPs is {self._network}"
            )
            raise invalid(self._services, name, [self._cause(field, [wanted], words)])
        if wanted in used:
            self._taken(write, wanted)

    def _taken(self, write: Write, wanted: str) -> None:
        name = write.new["metadata"]["name"] if write.new else ""
        words = f"failed to allocate IP {wanted}: provided IP is already allocated"
        raise invalid(self._services, name, [self._cause("spec.clusterIPs", [wanted], words)])

    @staticmethod
    def _cause(field: str, value: Any, words: str) -> Cause:
        return wrong(field, value, words)

    async def _node_ports(self, write: Write, spec: Object, before: Object, who: str) -> None:
        ports = spec.get("ports") or []
        held = {port.get("nodePort") for port in before.get("ports") or ()}
        if all(port.get("nodePort") in held and port.get("nodePort") for port in ports):
            return
        await self._parts.mirror.catch_up()
        used = {
            port.get("nodePort")
            for each in self._all()
            for port in each["spec"].get("ports") or ()
            if f"{each['metadata']['namespace']}/{each['metadata']['name']}" != who
        }
        for index, port in enumerate(ports):
            number = port.get("nodePort")
            if number and number in held:
                continue
            if number:
                await self._given_port(write, number, index, used, who)
            else:
                mine = {each.get("nodePort") for each in ports}
                port["nodePort"] = await self._free_port(write, used | mine, who)

    async def _given_port(
        self, write: Write, number: int, index: int, used: set[Any], who: str
    ) -> None:
        field, name = f"spec.ports[{index}].nodePort", who.partition("/")[2]
        if not NODE_PORTS[0] <= number <= NODE_PORTS[1]:
            words = (
                "provided port is not in the valid range. The range of valid ports is "
                f"{NODE_PORTS[0]}-{NODE_PORTS[1]}"
            )
            raise invalid(self._services, name, [wrong(field, number, words)])
        if number in used or not await self._claim(write, f"{_PORTS}{number}", who):
            words = "provided port is already allocated"
            raise invalid(self._services, name, [wrong(field, number, words)])

    async def _free_port(self, write: Write, used: set[Any], who: str) -> int:
        count = NODE_PORTS[1] - NODE_PORTS[0] + 1
        start = self._parts.random.randrange(count)
        numbers = (NODE_PORTS[0] + (start + n) % count for n in range(count))
        free = (str(number) for number in numbers if number not in used)
        found = await self._first_claimed(write, _PORTS, free, who)
        if not found:
            raise internal(f"failed to allocate a nodePort: {NODE_PORTS} is full")
        return int(found)

    async def _release(self, write: Write, spec: Object) -> None:
        """A service that goes leaves no claims: in use is what services have, not what is claimed.
        Where it stays after all, for a finalizer, it still has what it has."""
        keys = [_IPS + address for address in spec.get("clusterIPs") or () if address != "None"]
        keys += [
            f"{_PORTS}{port['nodePort']}" for port in spec.get("ports") or () if "nodePort" in port
        ]
        for key in keys if not write.dry_run else ():
            claim = await self._parts.registry.get(key)
            if claim is not None:
                await self._parts.registry.delete(key, claim.revision)

    async def _claim(self, write: Write, key: str, who: str) -> bool:
        """Whether it is ours: nobody else claims it, or we did before."""
        if write.dry_run:
            return True
        value = orjson.dumps({"kind": "RangeClaim", "apiVersion": "v1", "metadata": {"name": who}})
        lease = await self._claims.lease()
        written = await self._parts.registry.create(key, value, lease=lease)
        if written.done:
            return True
        there = written.now.object["metadata"]["name"] if written.now else ""
        return bool(there == who)

    def _all(self) -> list[Object]:
        collection = self._parts.mirror.collection(self._services.prefix)
        found = [each.object for each in collection.objects(self._services.prefix)]
        return [each for each in found if isinstance(each.get("spec"), dict)]
