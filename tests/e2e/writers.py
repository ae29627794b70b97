"""Clients that write without pause while members die, and remember what was acknowledged.

Owns: AcknowledgedWriters. Must never do: count a write as done that was not acknowledged, or write
a key twice: a failed put may have happened, so its key is left alone from then on.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import grpc

from tests.e2e.api import Api
from tests.e2e.waiting import wait_until

CALL_SECONDS = 3.0


@dataclass(frozen=True)
class Acknowledged:
    """One put that a member answered with OK."""

    key: bytes
    value: bytes
    revision: int


class AcknowledgedWriters:
    """``number`` threads; each goes to the next endpoint when a call fails."""

    def __init__(self, endpoints: Sequence[str], *, number: int = 4, prefix: str = "w") -> None:
        self._endpoints = list(endpoints)
        self._prefix = prefix
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._acknowledged: list[Acknowledged] = []
        self._threads = [
            threading.Thread(target=self._write, args=(writer,), daemon=True)
            for writer in range(number)
        ]

    def __enter__(self) -> AcknowledgedWriters:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> list[Acknowledged]:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        return self.acknowledged

    @property
    def acknowledged(self) -> list[Acknowledged]:
        with self._lock:
            return list(self._acknowledged)

    def wait_for_more(self, number: int, *, seconds: float = 60) -> None:
        """Until ``number`` more writes are acknowledged than now."""
        goal = len(self.acknowledged) + number
        wait_until(
            lambda: len(self.acknowledged) >= goal,
            f"{number} more acknowledged writes",
            seconds=seconds,
        )

    def _write(self, writer: int) -> None:
        apis = [Api(endpoint, timeout_seconds=CALL_SECONDS) for endpoint in self._endpoints]
        place = writer
        for number in count():
            if self._stopping.is_set():
                break
            key = f"{self._prefix}/{writer}/{number:06d}".encode()
            value = b"value of " + key
            try:
                answer = apis[place % len(apis)].put(key, value)
            except grpc.RpcError:
                # Unknown whether it happened: never this key again, and another member.
                place += 1
                self._stopping.wait(0.01)
                continue
            with self._lock:
                self._acknowledged.append(Acknowledged(key, value, answer.header.revision))
        for api in apis:
            api.close()


def lost(acknowledged: Sequence[Acknowledged], api: Api, *, serializable: bool) -> list[str]:
    """What is missing or different at a member, of the writes that were acknowledged."""
    listed = api.range(b"\0", b"\0", serializable=serializable)
    stored = {row.key: row for row in listed.kvs}
    complaints = []
    for write in acknowledged:
        row = stored.get(write.key)
        if row is None:
            complaints.append(f"{write.key!r} of revision {write.revision} is gone")
        elif (row.value, row.mod_revision) != (write.value, write.revision):
            complaints.append(f"{write} reads {row.value!r} at {row.mod_revision}")
    return complaints
