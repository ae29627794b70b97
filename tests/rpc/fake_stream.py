"""A stream without a wire: what the client says is a list, what it gets too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from google.protobuf.message import Message

from raftkv.wire.service import SendsEach, Service, Status


class FakeStream(SendsEach):
    """``drained`` runs whenever the handler waits for its reader, who then takes all.
    ``stays`` keeps the client's side open after its last request."""

    def __init__(
        self,
        requests: Sequence[Message | bytes],
        metadata: Mapping[str, str] | None = None,
        *,
        stays: bool = False,
        drained: Callable[[], None] = lambda: None,
    ) -> None:
        self.metadata = metadata or {}
        self.deadline: float | None = None
        self.peer = "127.0.0.1:1"
        self.peer_common_name = ""
        self._requests = [
            each if isinstance(each, bytes) else each.SerializeToString() for each in requests
        ]
        self._stays = stays
        self._drained = drained
        self.sent: list[bytes] = []
        self.backlog = 0
        self.backlog_max = 0

    def __aiter__(self) -> FakeStream:
        return self

    async def __anext__(self) -> bytes:
        if self._requests:
            return self._requests.pop(0)
        if self._stays:
            await asyncio.get_running_loop().create_future()
        raise StopAsyncIteration

    def send(self, message: bytes) -> None:
        self.sent.append(message)
        self.backlog += len(message)
        self.backlog_max = max(self.backlog_max, self.backlog)

    async def drain(self) -> None:
        self._drained()
        await asyncio.sleep(0)
        self.backlog = 0


async def serve(service: Service, method: str, stream: FakeStream) -> Status:
    """How the stream ended, as the wire would say it."""
    try:
        await service.streams[method](stream)
    except Exception as error:  # noqa: BLE001 - this is what the wire does
        return service.status_of(error)
    return Status(0)
