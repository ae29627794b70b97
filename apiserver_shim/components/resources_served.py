"""What the server serves, by its own discovery.

Owns: reading it into kinds. Must never do: assume a kind: custom ones come and go.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from apiserver_shim.components.api_client import ApiClient, Kind


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
    """Every resource once, in its group's preferred version."""
    groups = await client.read("/apis")
    paths = [("", "v1", "/api/v1")]
    for group in groups["groups"]:
        version = group["preferredVersion"]["version"]
        paths.append((group["name"], version, f"/apis/{group['name']}/{version}"))
    documents = await asyncio.gather(*(client.read(path) for _, _, path in paths))
    return [
        Served(
            Kind(group, version, each["name"], each["namespaced"]),
            each["kind"],
            frozenset(each["verbs"]),
        )
        for (group, version, _), document in zip(paths, documents, strict=True)
        for each in document["resources"]
        if "/" not in each["name"]
    ]
