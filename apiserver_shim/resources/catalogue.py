"""All resource types that are served, built in and custom.

Owns: the look-up by path and by kind, and the order in which discovery names groups. Must never do:
know requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from apiserver_shim.resources.core import CORE
from apiserver_shim.resources.groups import GROUPED
from apiserver_shim.resources.resource import Resource
from apiserver_shim.resources.reviews import REVIEWS


class Catalogue:
    """Custom types come and go with their definitions. ``changes`` counts how often they did."""

    def __init__(self, built_in: Iterable[Resource] = (*CORE, *GROUPED, *REVIEWS)) -> None:
        self._built_in = tuple(built_in)
        self._custom: dict[str, tuple[Resource, ...]] = {}
        self.changes = 0
        self._index()

    def set_custom(self, definition: str, resources: tuple[Resource, ...]) -> None:
        """What the definition of that name serves now; nothing, and it is forgotten."""
        if resources:
            self._custom[definition] = resources
        else:
            self._custom.pop(definition, None)
        self.changes += 1
        self._index()

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_path.get((group, version, plural))

    def of_kind(self, group: str, version: str, kind: str) -> Resource | None:
        return self._by_kind.get((group, version, kind))

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_path.values())

    def groups(self) -> dict[str, list[str]]:
        """Group name -> its versions, the preferred one first. The core group is not among them."""
        found: dict[str, list[str]] = {}
        for resource in self:
            if resource.group:
                versions = found.setdefault(resource.group, [])
                if resource.version not in versions:
                    versions.append(resource.version)
        return found

    def served_at(self, group: str, version: str) -> list[Resource]:
        return [r for r in self if (r.group, r.version) == (group, version)]

    def _index(self) -> None:
        rows = [*self._built_in, *(r for each in self._custom.values() for r in each)]
        self._by_path = {(r.group, r.version, r.plural): r for r in rows}
        self._by_kind = {(r.group, r.version, r.kind): r for r in rows}
