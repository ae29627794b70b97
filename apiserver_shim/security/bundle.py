"""What the shim has for its security, handed to whoever needs a part of it.

Owns: how the parts are connected. Must never do: read files; ``cli`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from apiserver_shim.resources.catalogue import Catalogue
from apiserver_shim.security.authentication import Authenticator, StaticTokens
from apiserver_shim.security.authorizer import Authorization, Authorizer
from apiserver_shim.security.node_authorizer import NodeAuthorizer
from apiserver_shim.security.rbac import Rbac
from apiserver_shim.security.service_accounts import ServiceAccountTokens, TokenKeys
from apiserver_shim.store.mirror import Mirror
from apiserver_shim.store.registry import Registry


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """``keys`` of service account tokens; None: made for this process alone. ``is_open``: everybody
    may do everything (--authorization-mode AlwaysAllow)."""

    keys: TokenKeys | None = None
    tokens: StaticTokens = field(default_factory=StaticTokens)
    anonymous: bool = True
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Security:
    authenticator: Authenticator
    authorizer: Authorizer
    tokens: ServiceAccountTokens


def connect(
    settings: SecuritySettings,
    mirror: Mirror,
    registry: Registry,
    catalogue: Catalogue,
    now: Callable[[], datetime],
) -> Security:
    keys = settings.keys or TokenKeys.generate()
    tokens = ServiceAccountTokens(keys, mirror, registry, now)
    authenticator = Authenticator(tokens, now, tokens=settings.tokens, anonymous=settings.anonymous)
    authorizer = Authorization(
        Rbac(mirror, catalogue), NodeAuthorizer(mirror), is_open=settings.is_open
    )
    return Security(authenticator, authorizer, tokens)
