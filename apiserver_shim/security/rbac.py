"""RBAC: who holds which rules, from the roles and bindings in the shim's copy.

Owns: the table from subjects to rules, made anew when one of the four kinds has changed. Must never
do: write, or allow what no rule names. An aggregated role holds the rules of all roles that it
selects, whatever is written in it: as if a controller had just written it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from apiserver_shim.api.user import User, account_name
from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.resources.resource import Resource
from apiserver_shim.security.attributes import Attributes
from apiserver_shim.security.rules import Rule
from apiserver_shim.store.changes import Collection
from apiserver_shim.store.mirror import Mirror

GROUP = "rbac.authorization.k8s.io"
KINDS = ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
DECISIONS_MAX = 8192
"""Answers that are remembered until a role or a binding changes."""

Subject = tuple[str, str]
"""("User" or "Group", its name)."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Rules that hold in ``namespace``; everywhere, and for what is in none, if it is empty."""

    namespace: str
    rules: tuple[Rule, ...]


class Rbac:
    def __init__(self, mirror: Mirror, catalogue: Catalogue) -> None:
        self._mirror = mirror
        found = [catalogue.find(GROUP, "v1", plural) for plural in KINDS]
        self._kinds: dict[str, Resource] = {each.plural: each for each in found if each is not None}
        assert len(self._kinds) == len(KINDS), f"served are only {sorted(self._kinds)}"
        self._made_at: tuple[int, ...] = ()
        self._grants: dict[Subject, list[Grant]] = {}
        self._roles: dict[tuple[str, str], tuple[Rule, ...]] = {}
        self._decisions: dict[tuple[Any, ...], bool] = {}

    def allows(self, asked: Attributes) -> bool:
        """Raises 503 as long as there is no copy to decide by."""
        self._refresh()
        key = (asked.user.name, asked.user.groups, *asked.question)
        known = self._decisions.get(key)
        if known is not None:
            return known
        found = any(
            rule.allows(asked)
            for grant in self._grants_of(asked.user)
            if not grant.namespace or (grant.namespace == asked.namespace and not asked.path)
            for rule in grant.rules
        )
        if len(self._decisions) >= DECISIONS_MAX:
            self._decisions.clear()
        self._decisions[key] = found
        return found

    def rules_of(self, user: User, namespace: str) -> list[Rule]:
        """All that the user holds there, what holds everywhere included."""
        self._refresh()
        return [
            rule
            for grant in self._grants_of(user)
            if grant.namespace in ("", namespace)
            for rule in grant.rules
        ]

    def rules_of_role(self, kind: str, namespace: str, name: str) -> tuple[Rule, ...] | None:
        """``kind`` is Role or ClusterRole; None where there is no such role."""
        self._refresh()
        return self._roles.get((namespace if kind == "Role" else "", name))

    # --- the table ------------------------------------------------------------------------------

    def _grants_of(self, user: User) -> Iterator[Grant]:
        yield from self._grants.get(("User", user.name), ())
        for group in dict.fromkeys(user.groups):
            yield from self._grants.get(("Group", group), ())

    def _refresh(self) -> None:
        """While the copy is made anew the last table holds: probes are answered all the time."""
        if self._made_at and not self._mirror.is_ready:
            return
        collections = {
            plural: self._mirror.collection(kind.prefix) for plural, kind in self._kinds.items()
        }
        made_at = tuple(each.revision for each in collections.values())
        if made_at == self._made_at:
            return
        self._roles = _roles(self._objects(collections, "roles"))
        self._roles |= _cluster_roles(self._objects(collections, "clusterroles"))
        self._grants = {}
        for plural in ("rolebindings", "clusterrolebindings"):
            for binding in self._objects(collections, plural):
                self._bind(binding)
        self._decisions.clear()
        self._made_at = made_at

    def _objects(self, collections: dict[str, Collection], plural: str) -> list[dict[str, Any]]:
        prefix = self._kinds[plural].prefix
        return [stored.object for stored in collections[plural].objects(prefix)]

    def _bind(self, binding: dict[str, Any]) -> None:
        namespace = binding["metadata"].get("namespace", "")
        reference = binding.get("roleRef") or {}
        where = namespace if reference.get("kind") == "Role" else ""
        rules = self._roles.get((where, reference.get("name", "")))
        if not rules or (reference.get("kind") == "Role" and not namespace):
            return
        grant = Grant(namespace, rules)
        for subject in binding.get("subjects") or ():
            found = _subject(subject, namespace)
            if found is not None:
                self._grants.setdefault(found, []).append(grant)


def _subject(subject: dict[str, Any], namespace: str) -> Subject | None:
    name = subject.get("name", "")
    match subject.get("kind"):
        case "User" | "Group" as kind if name:
            return kind, name
        case "ServiceAccount" if name:
            where = subject.get("namespace") or namespace
            return ("User", account_name(where, name)) if where else None
    return None


def _roles(objects: Iterable[dict[str, Any]]) -> dict[tuple[str, str], tuple[Rule, ...]]:
    return {
        (obj["metadata"]["namespace"], obj["metadata"]["name"]): _own_rules(obj) for obj in objects
    }


def _cluster_roles(
    objects: Iterable[dict[str, Any]],
) -> dict[tuple[str, str], tuple[Rule, ...]]:
    """Those that aggregate may select others that do: each is gone into once."""
    named = {obj["metadata"]["name"]: obj for obj in objects}

    def collected(name: str, seen: set[str]) -> list[Rule]:
        seen.add(name)
        rules = [] if named[name].get("aggregationRule") else list(_own_rules(named[name]))
        for other in _selected(named[name], named):
            if other not in seen:
                rules += collected(other, seen)
        return rules

    return {("", name): tuple(dict.fromkeys(collected(name, set()))) for name in named}


def _selected(role: dict[str, Any], named: dict[str, dict[str, Any]]) -> Iterator[str]:
    selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()
    for selector in selectors:
        for name, other in named.items():
            if _label_selector_matches(selector, other["metadata"].get("labels") or {}):
                yield name


def _label_selector_matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    for term in selector.get("matchExpressions") or ():
        key, values, operator = term["key"], term.get("values") or (), term["operator"]
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }.get(operator, False)
        if not holds:
            return False
    return True


def _own_rules(obj: dict[str, Any]) -> tuple[Rule, ...]:
    return tuple(Rule.parse(rule) for rule in obj.get("rules") or ())
