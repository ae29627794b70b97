"""Nobody gives, or takes, more than they have: checks on writes of roles and bindings.

Owns: three admission steps. Must never do: stop who holds the verbs escalate and bind, or what
changes no rule. Texts and order are those of Kubernetes' policy-based storage.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apiserver_shim.api.admission import Write
from apiserver_shim.api.status import Cause, forbidden, invalid
from apiserver_shim.api.user import User
from apiserver_shim.resources.resource import Resource
from apiserver_shim.security.attributes import Attributes, refused
from apiserver_shim.security.authorizer import EVERYTHING, Authorizer
from apiserver_shim.security.rbac import GROUP
from apiserver_shim.security.rules import Rule, uncovered

TOLD_MAX = 20
"""Missing rules that a refusal names."""


class Escalation:
    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def check(self, write: Write) -> None:
        """An admission step. Raises 403 and, for another roleRef, 422."""
        resource = write.target.resource
        if resource.group != GROUP or write.new is None:
            return
        if resource.plural in ("roles", "clusterroles"):
            self._check_role(write, write.new)
        else:
            self._check_binding(write, write.new)

    async def check_create(self, write: Write) -> None:
        """What an update or an apply is about to make needs the verb create as well."""
        if write.old is not None or write.target.verb not in ("update", "patch"):
            return
        at = write.target
        asked = Attributes(
            write.user, "create", at.resource.group, at.resource.plural, "", at.namespace, at.name
        )
        if not self._authorizer.allows(asked):
            raise refused(asked)

    def _check_role(self, write: Write, new: dict[str, Any]) -> None:
        old = write.old or {}
        same_rules = new.get("rules") == old.get("rules")
        same_sum = new.get("aggregationRule") == old.get("aggregationRule")
        if write.old is not None and same_rules and same_sum:
            return
        name = new["metadata"].get("name", "")
        if self._may("escalate", write.user, write.target.resource, write.target.namespace, name):
            return
        own = self._authorizer.rules_of(write.user, write.target.namespace)
        if new.get("aggregationRule") and uncovered(own, EVERYTHING):
            why = "must have cluster-admin privileges to use the aggregationRule"
            raise forbidden(write.target.resource, name, why)
        wanted = [Rule.parse(rule) for rule in new.get("rules") or ()]
        _refuse_uncovered(write, name, own, wanted)

    def _check_binding(self, write: Write, new: dict[str, Any]) -> None:
        old, name = write.old, new["metadata"].get("name", "")
        reference = new.get("roleRef") or {}
        kind, role = reference.get("kind", ""), reference.get("name", "")
        resource, namespace = write.target.resource, write.target.namespace
        if (
            reference.get("apiGroup") != GROUP
            or kind not in ("Role", "ClusterRole")
            or not role
            or (kind == "Role" and not resource.namespaced)
        ):
            words = f'Invalid value: "{kind}/{role}": expected a role of {GROUP}'
            raise invalid(resource, name, [Cause("FieldValueInvalid", words, "roleRef")])
        if old is not None and reference != old.get("roleRef"):
            words = "Invalid value: cannot change roleRef"
            raise invalid(resource, name, [Cause("FieldValueInvalid", words, "roleRef")])
        if old is not None and new.get("subjects") == old.get("subjects"):
            return
        plural = "roles" if kind == "Role" else "clusterroles"
        asked = Attributes(write.user, "bind", GROUP, plural, "", namespace, role)
        if self._authorizer.allows(asked):
            return
        wanted = self._authorizer.rules_of_role(kind, namespace, role)
        if wanted is None:
            raise forbidden(resource, name, f'{plural}.{GROUP} "{role}" not found')
        _refuse_uncovered(write, name, self._authorizer.rules_of(write.user, namespace), wanted)

    def _may(self, verb: str, user: User, resource: Resource, namespace: str, name: str) -> bool:
        asked = Attributes(user, verb, resource.group, resource.plural, "", namespace, name)
        return self._authorizer.allows(asked)


def _refuse_uncovered(write: Write, name: str, own: list[Rule], wanted: Iterable[Rule]) -> None:
    missing = uncovered(own, wanted)
    if not missing:
        return
    user = write.user
    told = "\n".join(str(rule.body) for rule in missing[:TOLD_MAX])
    groups = " ".join(f'"{group}"' for group in user.groups)
    raise forbidden(
        write.target.resource,
        name,
        f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not '
        f"currently held:\n{told}",
    )
