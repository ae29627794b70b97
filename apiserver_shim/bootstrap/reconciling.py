"""Bootstrap: what is to be there is made; roles that are there get what they lack.

Owns: the order and the loops. Must never do: take away what an operator has added, overwrite what
is not marked for it, or mind that another shim does the same at the same time: every write is
guarded, and whoever loses reads again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apiserver_shim.api.metadata import begin
from apiserver_shim.api.stored import encoded
from apiserver_shim.bootstrap.component_roles import COMPONENT_BINDINGS, COMPONENTS
from apiserver_shim.bootstrap.objects import (
    AUTHENTICATION_READER,
    NAMESPACES,
    PRIORITIES,
    SERVICE_CIDR,
    authentication,
    default_account,
    endpoints,
    namespace,
    service,
)
from apiserver_shim.bootstrap.roles import ANNOTATIONS, USER_BINDINGS, USERS
from apiserver_shim.parts import Parts
from apiserver_shim.resources.resource import Resource
from apiserver_shim.security.rules import Rule, uncovered

TRIES_MAX = 20
Object = dict[str, Any]
Change = Callable[[Object], Object | None]
"""What is stored to what shall be; None: it is good as it is."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """``address``:``port`` is where this shim is reached by pods; empty where it says nothing of
    itself. ``client_ca``: PEM of who vouches for clients."""

    address: str = ""
    port: int = 6443
    service_cidr: str = SERVICE_CIDR
    client_ca: str = ""


async def bootstrap(parts: Parts, facts: ClusterFacts) -> None:
    for name in NAMESPACES:
        await ensure(parts, namespace(name), _as_it_is)
        await ensure(parts, default_account(name), _as_it_is)
    for role in USERS + COMPONENTS:
        await ensure(parts, role, _with_rules_of(role))
    for binding in USER_BINDINGS + COMPONENT_BINDINGS:
        await ensure(parts, binding, _with_subjects_of(binding))
    reader, binding = AUTHENTICATION_READER
    await ensure(parts, reader, _with_rules_of(reader))
    await ensure(parts, binding, _with_subjects_of(binding))
    for each in PRIORITIES:
        await ensure(parts, each, _as_it_is)
    told = authentication(facts.client_ca)
    await ensure(parts, told, _with_data_of(told))
    if facts.address:
        await ensure(parts, service(facts.port, facts.service_cidr), _as_it_is)
        await ensure(
            parts, endpoints([facts.address], facts.port), _with_address(facts.address, facts.port)
        )


async def withdraw(parts: Parts, facts: ClusterFacts) -> None:
    """This shim is about to end: nobody is to be sent to it."""
    if facts.address:
        gone = endpoints([], facts.port)
        await ensure(parts, gone, _without_address(facts.address))


async def ensure(parts: Parts, wanted: Object, change: Change) -> None:
    """Create ``wanted``, or change what is there."""
    group, _, version = wanted["apiVersion"].rpartition("/")
    resource = parts.catalogue.of_kind(group, version, wanted["kind"])
    assert resource is not None, f"{wanted['kind']} is not served"
    metadata = wanted["metadata"]
    key = resource.key(metadata.get("namespace", ""), metadata["name"])
    for _ in range(TRIES_MAX):
        stored = await parts.registry.get(key)
        if stored is None:
            if (await parts.registry.create(key, _made(parts, resource, wanted))).done:
                return
            continue
        new = change(stored.copy())
        if new is None:
            return
        if (await parts.registry.write(key, encoded(new), stored.revision)).done:
            return
    raise TimeoutError(f"{key}: others wrote it {TRIES_MAX} times in between")


def _made(parts: Parts, resource: Resource, wanted: Object) -> bytes:
    obj = {**wanted, "metadata": dict(wanted["metadata"])}
    begin(obj, resource, obj["metadata"].get("namespace", ""), parts.now(), parts.random)
    return encoded(obj)


def _as_it_is(stored: Object) -> None:
    return None


def _is_ours(stored: Object) -> bool:
    """An operator who sets the annotation to false has the object to himself."""
    annotations = stored["metadata"].get("annotations") or {}
    return all(annotations.get(key) == value for key, value in ANNOTATIONS.items())


def _with_rules_of(role: Object) -> Change:
    def change(stored: Object) -> Object | None:
        if not _is_ours(stored):
            return None
        own = [Rule.parse(each) for each in stored.get("rules") or ()]
        missing = [each for each in role["rules"] if uncovered(own, [Rule.parse(each)])]
        labels = {**role["metadata"]["labels"], **(stored["metadata"].get("labels") or {})}
        new = {**stored, "metadata": {**stored["metadata"], "labels": labels}}
        new["rules"] = [*(stored.get("rules") or ()), *missing]
        if "aggregationRule" in role:
            new.setdefault("aggregationRule", role["aggregationRule"])
        return new if new != stored else None

    return change


def _with_subjects_of(binding: Object) -> Change:
    def change(stored: Object) -> Object | None:
        if not _is_ours(stored) or stored.get("roleRef") != binding["roleRef"]:
            return None
        own = stored.get("subjects") or []
        missing = [each for each in binding["subjects"] if each not in own]
        return {**stored, "subjects": [*own, *missing]} if missing else None

    return change


def _with_data_of(configmap: Object) -> Change:
    """The data may hold more than one authority, of more than one shim."""

    def change(stored: Object) -> Object | None:
        data, ours = dict(stored.get("data") or {}), configmap["data"].get("client-ca-file", "")
        if not ours or ours in data.get("client-ca-file", ""):
            return None
        data["client-ca-file"] = data.get("client-ca-file", "") + ours
        return {**stored, "data": data}

    return change


def _addresses(stored: Object) -> list[str]:
    return [
        address["ip"]
        for subset in stored.get("subsets") or ()
        for address in subset.get("addresses") or ()
    ]


def _with_address(address: str, port: int) -> Change:
    def change(stored: Object) -> Object | None:
        subsets = endpoints(sorted({*_addresses(stored), address}), port)["subsets"]
        return {**stored, "subsets": subsets} if subsets != stored.get("subsets") else None

    return change


def _without_address(address: str) -> Change:
    def change(stored: Object) -> Object | None:
        kept = [each for each in _addresses(stored) if each != address]
        if len(kept) == len(_addresses(stored)):
            return None
        ports = stored["subsets"][0]["ports"]
        subsets = endpoints(kept, ports[0]["port"])["subsets"] if kept else []
        return {**stored, "subsets": subsets}

    return change
