"""The members that a client knows, and one channel to each.

Owns: channels, which endpoint is in use, and moving to the next. Must never do: repeat a request;
``calls`` decides that.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc

MESSAGE_BYTES_MAX = 2**31 - 1
"""Answers may be as large as gRPC allows: a list has no bound of its own."""
_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class Endpoints:
    """``host:port`` each; the first is used until it fails."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        if not endpoints:
            raise ValueError("a client needs at least one endpoint, host:port")
        self._names = [name.removeprefix("http://") for name in endpoints]
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._at = 0

    def __len__(self) -> int:
        return len(self._names)

    @property
    def current(self) -> str:
        return self._names[self._at]

    def channel(self, name: str | None = None) -> grpc.aio.Channel:
        """The channel to ``name``, or to the endpoint in use."""
        name = (name or self.current).removeprefix("http://")
        channel = self._channels.get(name)
        if channel is None:
            channel = grpc.aio.insecure_channel(name, _OPTIONS)
            self._channels[name] = channel
        return channel

    def move_on(self, failed: str) -> None:
        """``failed`` did not answer: use the next one, unless somebody has moved on already."""
        if failed == self.current:
            self._at = (self._at + 1) % len(self._names)

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()
