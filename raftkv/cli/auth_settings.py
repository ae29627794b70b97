"""--auth-token and its kin, as the member takes them.

Owns: reading the keys that sign tokens, and looking every LOOK_S whether their files have changed.
Must never do: sign a token, or read a file on the loop once it runs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from raftkv.auth.jwt_key_files import JwtKeyFiles
from raftkv.auth.jwt_keys import JwtKeys, parse_jwt_options
from raftkv.auth.jwt_tokens import JwtTokens
from raftkv.cli.flag import parse_duration
from raftkv.errors import ConfigError
from raftkv.server.authority import AuthSettings
from raftkv.server.config import ServerConfig

log = logging.getLogger("raftkv.server")

LOOK_S = 5.0
"""How long a change of the keys' files can go unseen."""


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """Tokens that are signed, and the files of their keys."""

    tokens: JwtTokens
    files: JwtKeyFiles


class TokenKeyWatch:
    """Has ``keys`` follow their files, from ``start`` until ``stop``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, keys: TokenKeys) -> None:
        self._loop = loop
        self._keys = keys
        self._worker = ThreadPoolExecutor(1, "token-keys")
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._timer = self._loop.call_later(LOOK_S, self._look)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _look(self) -> None:
        checking = self._loop.run_in_executor(self._worker, self._keys.files.check)
        checking.add_done_callback(self._checked)

    def _checked(self, done: asyncio.Future[JwtKeys | None]) -> None:
        if self._timer is None:
            return
        found = done.result()
        if found is not None:
            self._keys.tokens.use(found)
        self.start()


def auth_settings(config: ServerConfig) -> tuple[AuthSettings, TokenKeys | None]:
    """Reads the keys that sign tokens. Raises ConfigError."""
    kind, _, options = config.auth_token.partition(",")
    keys = None
    if kind == "jwt":
        keys = _token_keys(options)
    elif config.auth_token != "simple":
        raise ConfigError(f"--auth-token must be simple or jwt,..., got {config.auth_token!r}")
    else:
        log.warning("simple token is not cryptographically signed")
    settings = AuthSettings(
        signer=None if keys is None else keys.tokens,
        token_ttl_s=config.auth_token_ttl_s,
        bcrypt_cost=config.bcrypt_cost,
        trusts_certificates=config.client_tls.client_cert_auth,
    )
    return settings, keys


def _token_keys(options: str) -> TokenKeys:
    def read_file(path: str) -> bytes:
        return Path(path).read_bytes()

    parsed = parse_jwt_options(options, parse_duration)
    files = JwtKeyFiles(parsed, read_file)
    return TokenKeys(JwtTokens(parsed, read_file, time.time), files)
