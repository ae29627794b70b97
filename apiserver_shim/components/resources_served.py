"""What the server serves, by its own discovery.

Owns: reading it into kinds. Must never do: assume a kind: custom ones come and go.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from apiserver_shim.components.api_client import ApiClient, ApiFailure, Kind, Object


@dataclass(frozen=True, slots=True)
class Served:
    """``name``: the object's kind, Deployment say."""

    kind: Kind
    name: str
    verbs: frozenset[str]

    @property
    def api_version(self) -> str:
        return f"{self.kind.group}/{self.kind.version}" if self.kind.group else self.kind.version


async def served(client: ApiClient) -> list[Served]:
    """Every resource once: in its group's preferred version, or the first that has it."""
    groups = (await client.read("/apis"))["groups"]
    versions = [("", "v1")] + [
        (group["name"], each)
        for group in groups
        for each in dict.fromkeys(
            [group["preferredVersion"]["version"], *(v["version"] for v in group["versions"])]
        )
    ]
    documents = await asyncio.gather(*(_resources(client, *each) for each in versions))
    found: dict[tuple[str, str], Served] = {}
    for (group, version), resources in zip(versions, documents, strict=True):
        for each in resources:
            kind = Kind(group, version, each["name"], each["namespaced"])
            if "/" not in each["name"] and {"get", "list"} & set(each["verbs"]):
                row = Served(kind, each["kind"], frozenset(each["verbs"]))
                found.setdefault((group, each["name"]), row)
    return list(found.values())


async def _resources(client: ApiClient, group: str, version: str) -> list[Object]:
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    try:
        found: list[Object] = (await client.read(path))["resources"]
    except ApiFailure as e:
        if e.code != 404:
            raise
        return []  # its last definition has gone since the groups were read
    return found
