"""The audit log: one line of JSON for each request, once it is answered.

Owns: the line, in the words of audit.k8s.io/v1 at level Metadata. Must never do: write bodies,
credentials or queries; block the loop on a slow disk (lines are handed to a writing thread).
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from apiserver_shim.api.request import Target
from apiserver_shim.api.user import User

WAITING_MAX = 65_536
"""Lines that wait for the disk; beyond it the newest is lost, and the log of the process says so.
"""
log = logging.getLogger("apiserver_shim.audit")


@dataclass(frozen=True, slots=True)
class AuditEvent:
    user: User
    method: str
    path: str
    target: Target | None
    code: int
    seconds: float
    at: datetime
    source: str

    @property
    def line(self) -> bytes:
        told: dict[str, object] = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "stage": "ResponseComplete",
            "requestURI": self.path,
            "verb": self.target.verb if self.target else self.method.lower(),
            "user": self.user.info,
            "sourceIPs": [self.source],
            "responseStatus": {"code": self.code},
            "stageTimestamp": self.at.isoformat(),
            "latencySeconds": round(self.seconds, 6),
        }
        if self.target is not None:
            reference = {
                "resource": self.target.resource.plural,
                "subresource": self.target.subresource,
                "namespace": self.target.namespace,
                "name": self.target.name,
                "apiGroup": self.target.resource.group,
                "apiVersion": self.target.resource.version,
            }
            told["objectRef"] = {key: value for key, value in reference.items() if value}
        return orjson.dumps(told)


class AuditLog:
    """Use ``close`` to have the last lines written."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where the file cannot be opened."""
        self._waiting: queue.Queue[logging.LogRecord] = queue.Queue(WAITING_MAX)
        handler = logging.FileHandler(path, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(message)s"))
        self._handler = handler
        self._listener = logging.handlers.QueueListener(self._waiting, handler)
        self._listener.start()
        self._lost = 0

    def write(self, event: AuditEvent) -> None:
        record = log.makeRecord(log.name, logging.INFO, "", 0, event.line.decode(), (), None)
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self._lost += 1
            log.error("the audit log does not keep up: lost=%d", self._lost)

    def close(self) -> None:
        self._listener.stop()
        self._handler.close()


Audit = Callable[[AuditEvent], None]
