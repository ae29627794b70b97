"""--auth-token and its kin, as the member takes them.

Owns: reading the keys that sign tokens. Must never do: sign one.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from raftkv.auth.jwt_tokens import JwtTokens, parse_jwt_options
from raftkv.cli.flag import parse_duration
from raftkv.errors import ConfigError
from raftkv.server.authority import AuthSettings
from raftkv.server.config import ServerConfig

log = logging.getLogger("raftkv.server")


def auth_settings(config: ServerConfig) -> AuthSettings:
    """Reads the keys that sign tokens. Raises ConfigError."""
    kind, _, options = config.auth_token.partition(",")
    signer = None
    if kind == "jwt":
        parsed = parse_jwt_options(options, parse_duration)
        signer = JwtTokens(parsed, lambda path: Path(path).read_bytes(), time.time)
    elif config.auth_token != "simple":
        raise ConfigError(f"--auth-token must be simple or jwt,..., got {config.auth_token!r}")
    else:
        log.warning("simple token is not cryptographically signed")
    return AuthSettings(
        signer=signer,
        token_ttl_s=config.auth_token_ttl_s,
        bcrypt_cost=config.bcrypt_cost,
        trusts_certificates=config.client_tls.client_cert_auth,
    )
