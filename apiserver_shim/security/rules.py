"""RBAC's rules: what one allows, and whether some cover others.

Owns: Rule. Must never do: know who holds one. Semantics: rbac.authorization.k8s.io/v1 PolicyRule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from apiserver_shim.security.attributes import Attributes

ANY = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """Allows every verb on every resource of every group that it names; ``names`` empty: on all
    objects. ``urls`` are paths that are no resources, a trailing ``*`` stands for the rest."""

    verbs: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()

    @staticmethod
    def parse(rule: dict[str, Any]) -> Rule:
        return Rule(
            *(
                frozenset(rule.get(field) or ())
                for field in ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
            )
        )

    def allows(self, asked: Attributes) -> bool:
        if not _has(self.verbs, asked.verb):
            return False
        if asked.path:
            return any(_url_matches(url, asked.path) for url in self.urls)
        return (
            _has(self.groups, asked.group)
            and self._has_resource(asked.combined)
            and (not self.names or asked.name in self.names)
        )

    def covers(self, wanted: Rule) -> bool:
        """``wanted`` is a single one, as ``singles`` makes them."""
        if not all(_has(self.verbs, verb) for verb in wanted.verbs):
            return False
        if wanted.urls:
            return all(any(_url_matches(own, url) for own in self.urls) for url in wanted.urls)
        return (
            all(_has(self.groups, group) for group in wanted.groups)
            and all(self._has_resource(resource) for resource in wanted.resources)
            and (not self.names or (bool(wanted.names) and wanted.names <= self.names))
        )

    def singles(self) -> Iterator[Rule]:
        """One for each verb on each thing."""
        for verb in self.verbs:
            for url in self.urls:
                yield Rule(frozenset((verb,)), urls=frozenset((url,)))
            for group in self.groups:
                for resource in self.resources:
                    for names in ({n} for n in self.names) if self.names else (set[str](),):
                        yield Rule(
                            frozenset((verb,)),
                            frozenset((group,)),
                            frozenset((resource,)),
                            frozenset(names),
                        )

    @property
    def body(self) -> dict[str, list[str]]:
        fields = {
            "verbs": self.verbs,
            "apiGroups": self.groups,
            "resources": self.resources,
            "resourceNames": self.names,
            "nonResourceURLs": self.urls,
        }
        return {name: sorted(values) for name, values in fields.items() if values}

    def _has_resource(self, combined: str) -> bool:
        if ANY in self.resources or combined in self.resources:
            return True
        _, slash, subresource = combined.partition("/")
        return bool(slash) and f"*/{subresource}" in self.resources


def uncovered(own: Sequence[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """What of ``wanted`` no single rule of ``own`` allows."""
    return [
        single
        for rule in wanted
        for single in rule.singles()
        if not any(each.covers(single) for each in own)
    ]


def _has(values: frozenset[str], wanted: str) -> bool:
    return ANY in values or wanted in values


def _url_matches(pattern: str, path: str) -> bool:
    if pattern in (ANY, path):
        return True
    return pattern.endswith(ANY) and path.startswith(pattern[:-1])
