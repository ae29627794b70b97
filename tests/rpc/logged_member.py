"""The services of a member without Raft, watched, and the lines and the busiest that come of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fake_member import FakeCall, start
from google.protobuf.message import Message
from guarded_member import GuardedMember

from raftkv.access.journal import Journal
from raftkv.access.keys import quoted
from raftkv.access.observed import observed
from raftkv.access.recorder import Calls
from raftkv.access.talkers import Talkers
from raftkv.cli.recording import Names
from raftkv.wire.service import Service


class Lines:
    """An Outlet that keeps what it gets."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def put(self, line: str) -> None:
        assert "\n" not in line
        assert line.isascii()
        self.texts.append(line)

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts]

    @property
    def last(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.texts[-1])
        return found


class LoggedMember(GuardedMember):
    """``now`` is seconds of the loop's clock, at a wall clock of 2026-01-02T03:04:05Z."""

    def __init__(
        self,
        path: Path,
        *,
        form: Callable[[bytes], str] = quoted,
        reads: float = 1.0,
        writes: float = 1.0,
        chance: Callable[[], float] = lambda: 0.0,
    ) -> None:
        super().__init__(path)
        self.now = 100.0
        self.lines = Lines()
        self.talkers = Talkers(lambda: self.now, form)
        journal = Journal(
            self.lines,
            form=form,
            reads=reads,
            writes=writes,
            slow_seconds=0.3,
            wall=lambda: 1_767_323_045.25,
            chance=chance,
            index=lambda: self.applier.entry_index,
        )
        self.recorder = Calls(
            lambda: self.now,
            Names(self.authority).user_of,
            journal=journal,
            talkers=self.talkers,
        )
        self.services = {
            name: observed(service, self.recorder) for name, service in self.services.items()
        }

    def begin(
        self, method: str, request: Message | bytes, call: FakeCall | None = None
    ) -> FakeCall:
        service, name = method.split("/")
        return start(self.service(service), name, request, call)

    def service(self, name: str) -> Service:
        return self.services[name]
