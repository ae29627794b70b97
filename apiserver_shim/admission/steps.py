"""The order of the steps: those that fill in, then the kind's own rules, then the quota.

Owns: that order, which is a real apiserver's. Must never do: anything per kind.
"""

from __future__ import annotations

from apiserver_shim.admission.limits import LimitRanger
from apiserver_shim.admission.namespaces import NamespaceLifecycle
from apiserver_shim.admission.pod_identity import Priorities, ServiceAccounts
from apiserver_shim.admission.quotas import ResourceQuotas
from apiserver_shim.admission.service_addresses import ServiceAddresses
from apiserver_shim.api.admission import Step, Write
from apiserver_shim.api.status import invalid
from apiserver_shim.kinds.rules import violations_of
from apiserver_shim.parts import Parts


async def rules(write: Write) -> None:
    """The kind's own. Raises 422 with every field that breaks one. What comes through a subresource
    changes little, and nothing that they are about."""
    if write.new is None or write.target.subresource:
        return
    found = violations_of(write.target.resource, write.new, write.old)
    if found:
        raise invalid(write.target.resource, write.new["metadata"]["name"], found)


def steps(parts: Parts, addresses: ServiceAddresses, quotas: ResourceQuotas) -> list[Step]:
    return [
        NamespaceLifecycle(parts),
        ServiceAccounts(parts),
        Priorities(parts),
        LimitRanger(parts),
        rules,
        addresses,
        quotas,
    ]
