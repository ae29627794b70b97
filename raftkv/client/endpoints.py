"""The members that a client knows, and one channel to each.

Owns: channels, which endpoint is in use, and moving to the next. Must never do: repeat a request;
``calls`` decides that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from raftkv.client.tls import Tls

MESSAGE_BYTES_MAX = 2**31 - 1
"""Answers may be as large as gRPC allows: a list has no bound of its own."""
_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
_SCHEMES = {"http": False, "https": True, "unix": False, "unixs": True}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One member's: ``name`` is what errors call it."""

    name: str
    is_secure: bool
    is_unix: bool

    @staticmethod
    def parse(text: str, *, has_tls: bool) -> Endpoint:
        """host:port, under TLS if the client has settings for it, or a URL that says so itself."""
        scheme, separator, rest = text.partition("://")
        if not separator:
            return Endpoint(text, has_tls, False)
        if scheme not in _SCHEMES:
            raise ValueError(f"{text}: the scheme must be one of {', '.join(_SCHEMES)}")
        return Endpoint(rest.rstrip("/"), _SCHEMES[scheme], scheme.startswith("unix"))

    @property
    def target(self) -> str:
        """In gRPC's words."""
        return f"unix:{self.name}" if self.is_unix else self.name

    @property
    def address(self) -> tuple[str, int] | str:
        if self.is_unix:
            return self.name
        host, _, port = self.name.rpartition(":")
        return host.strip("[]"), int(port)


class Endpoints:
    """The first is used until it fails. Raises ValueError and, for files of ``tls``, OSError."""

    def __init__(self, endpoints: Sequence[str], tls: Tls | None = None) -> None:
        if not endpoints:
            raise ValueError("a client needs at least one endpoint, host:port")
        parsed = [Endpoint.parse(text, has_tls=tls is not None) for text in endpoints]
        self._known = {endpoint.name: endpoint for endpoint in parsed}
        self._names = [endpoint.name for endpoint in parsed]
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._at = 0
        self._has_tls = tls is not None
        self._tls = tls or Tls()
        self._credentials: grpc.ChannelCredentials | None = None
        if any(endpoint.is_secure for endpoint in parsed):
            self._credentials = self._tls.credentials()
        # With verification off: what each showed when the client was opened.
        self._shown: dict[str, tuple[bytes, str]] = {}

    def __len__(self) -> int:
        return len(self._names)

    @property
    def current(self) -> str:
        return self._names[self._at]

    async def prepare(self) -> None:
        """With verification off gRPC must be told what to trust: ask each what it shows."""
        if not self._tls.insecure_skip_verify:
            return
        for endpoint in self._known.values():
            if endpoint.is_secure and endpoint.name not in self._shown:
                try:
                    shown = await asyncio.to_thread(self._tls.shown_by, endpoint.address)
                except OSError:
                    continue  # it is down: a call says so
                self._shown[endpoint.name] = shown

    def channel(self, name: str | None = None) -> grpc.aio.Channel:
        """The channel to ``name``, or to the endpoint in use. A member's own URL will do, too."""
        name = name or self.current
        endpoint = self._known.get(name) or Endpoint.parse(name, has_tls=self._has_tls)
        name = endpoint.name
        channel = self._channels.get(name)
        if channel is None:
            channel = self._open(self._known.setdefault(name, endpoint))
            self._channels[name] = channel
        return channel

    def _open(self, endpoint: Endpoint) -> grpc.aio.Channel:
        options: list[tuple[str, int | str]] = list(_OPTIONS)
        if endpoint.is_unix:
            options.append(("grpc.default_authority", "localhost"))
        if not endpoint.is_secure:
            return grpc.aio.insecure_channel(endpoint.target, options)
        if self._credentials is None:  # only a member's own URL said that it speaks TLS
            self._credentials = self._tls.credentials()
        credentials = self._credentials
        name = self._tls.server_name
        if endpoint.name in self._shown:
            trusted, name = self._shown[endpoint.name]
            credentials = self._tls.credentials(trusted)
        if name:
            options.append(("grpc.ssl_target_name_override", name))
        return grpc.aio.secure_channel(endpoint.target, credentials, options)

    def move_on(self, failed: str) -> None:
        """``failed`` did not answer: use the next one, unless somebody has moved on already."""
        if failed == self.current:
            self._at = (self._at + 1) % len(self._names)

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()
