"""Who calls a store under comparison: the tokens of its users, and a state without any users.

Owns: Logins. Tokens and the auth revision become values that two stores can be compared by. Must
never do: judge a difference, or leave auth enabled behind an example.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import grpc

PASSWORDS = ("right", "other", "")
"""All that any user ever has: root's is found by trying, whatever an example made of it."""
ROOT = "root"
SIMPLE_TOKEN = re.compile(r"[a-zA-Z]{16}\.\d+")
Metadata = tuple[tuple[str, str], ...]


class Caller(Protocol):
    """What this module asks of a store: calls that must succeed."""

    def call(self, method: str, *, token: str = "", **fields: Any) -> Any: ...


class Logins:
    """``revision`` is the auth revision at which the example began. With ``only_enabled`` tokens
    go with calls only while auth is enabled: etcd 3.5.1 judges them even if not."""

    def __init__(self, store: Caller, *, only_enabled: bool) -> None:
        self._store = store
        self._only_enabled = only_enabled
        self._is_enabled = False
        self._tokens: dict[str, str] = {}
        self.revision = 0

    def begin(self) -> None:
        self.revision = self._store.call("Auth/AuthStatus").authRevision

    def succeeded(self, method: str, fields: dict[str, Any], response: Any) -> None:
        """Told of every call of an example that was answered without an error."""
        if method == "Auth/Authenticate":
            self._remember(fields["name"], response.token)
        elif method in ("Auth/AuthEnable", "Auth/AuthDisable"):
            self._is_enabled = method == "Auth/AuthEnable"

    def _remember(self, name: str, token: str) -> None:
        if name in self._tokens:
            self._tokens[f"old {name}"] = self._tokens[name]
        self._tokens[name] = token

    def token(self, caller: str) -> str:
        if self._only_enabled and not self._is_enabled:
            return ""
        return self._tokens.get(caller, caller)

    def metadata(self, caller: str) -> Metadata:
        token = self.token(caller)
        return (("token", token),) if token else ()

    def root_token(self) -> str:
        """A new one; "" while auth is disabled."""
        for password in PASSWORDS:
            try:
                return str(
                    self._store.call("Auth/Authenticate", name=ROOT, password=password).token
                )
            except grpc.RpcError as error:
                if "not enabled" in str(error.details()):
                    return ""
        raise AssertionError(f"root has none of the passwords {PASSWORDS}")

    def end(self) -> None:
        """Auth disabled, no users, no roles."""
        token = self.root_token()
        if token:
            self._store.call("Auth/AuthDisable", token=token)
        for name in self._store.call("Auth/UserList").users:
            self._store.call("Auth/UserDelete", name=name)
        for name in self._store.call("Auth/RoleList").roles:
            self._store.call("Auth/RoleDelete", role=name)
        self._is_enabled = False
        self._tokens.clear()

    def plain(self, name: str, value: Any) -> Any:
        """A field without what is a store's own."""
        if name == "authRevision":
            return value - self.revision
        if name == "token":
            return "a simple token" if SIMPLE_TOKEN.fullmatch(value) else value
        return value
