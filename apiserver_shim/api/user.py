"""Who asks, as everything behind the door knows them.

Owns: User and the names that Kubernetes gives to users and groups. Must never do: decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ANONYMOUS = "system:anonymous"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
MASTERS = "system:masters"
NODES = "system:nodes"
NODE_PREFIX = "system:node:"
ACCOUNT_PREFIX = "system:serviceaccount:"
ACCOUNTS = "system:serviceaccounts"


@dataclass(frozen=True, slots=True)
class User:
    """``groups`` as RBAC knows them: system:masters, system:authenticated ..."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict)

    @property
    def info(self) -> dict[str, object]:
        """A UserInfo, as reviews show it."""
        told: dict[str, object] = {"username": self.name}
        if self.uid:
            told["uid"] = self.uid
        if self.groups:
            told["groups"] = list(self.groups)
        if self.extra:
            told["extra"] = self.extra
        return told


NOBODY = User("")
"""Of a request that has not come through the door yet."""


def account_name(namespace: str, name: str) -> str:
    return f"{ACCOUNT_PREFIX}{namespace}:{name}"


def account_groups(namespace: str) -> tuple[str, ...]:
    return (ACCOUNTS, f"{ACCOUNTS}:{namespace}")


def account_of(user_name: str) -> tuple[str, str] | None:
    """Namespace and name of the service account that a user is, if it is one."""
    if not user_name.startswith(ACCOUNT_PREFIX):
        return None
    namespace, separator, name = user_name.removeprefix(ACCOUNT_PREFIX).partition(":")
    return (namespace, name) if separator and namespace and name else None
