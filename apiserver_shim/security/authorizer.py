"""May they: every way in which the answer can be yes, in order.

Owns: that order. Must never do: say yes by default. Bypass of system:masters, the Node
authorizer, RBAC.
"""

from __future__ import annotations

from typing import Protocol

from apiserver_shim.api.user import MASTERS, User
from apiserver_shim.security.attributes import Attributes
from apiserver_shim.security.node_authorizer import NodeAuthorizer
from apiserver_shim.security.rbac import Rbac
from apiserver_shim.security.rules import ANY, Rule

EVERYTHING = (
    Rule.parse({"verbs": [ANY], "apiGroups": [ANY], "resources": [ANY]}),
    Rule.parse({"verbs": [ANY], "nonResourceURLs": [ANY]}),
)


class Authorizer(Protocol):
    def allows(self, asked: Attributes) -> bool: ...

    def rules_of(self, user: User, namespace: str) -> list[Rule]:
        """What the user holds in the namespace (and everywhere), for reviews and escalation."""

    def rules_of_role(self, kind: str, namespace: str, name: str) -> tuple[Rule, ...] | None:
        """None where there is no such role."""


class Authorization:
    """``--authorization-mode``: with ``is_open`` everybody may do everything."""

    def __init__(self, rbac: Rbac, nodes: NodeAuthorizer, *, is_open: bool = False) -> None:
        self._rbac = rbac
        self._nodes = nodes
        self._is_open = is_open

    def allows(self, asked: Attributes) -> bool:
        if self._is_open or MASTERS in asked.user.groups:
            return True
        return self._nodes.allows(asked) or self._rbac.allows(asked)

    def rules_of(self, user: User, namespace: str) -> list[Rule]:
        if self._is_open or MASTERS in user.groups:
            return list(EVERYTHING)
        return self._rbac.rules_of(user, namespace)

    def rules_of_role(self, kind: str, namespace: str, name: str) -> tuple[Rule, ...] | None:
        return self._rbac.rules_of_role(kind, namespace, name)
