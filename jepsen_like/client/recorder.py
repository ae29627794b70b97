"""Asking members, and writing down what was asked, when, and what came of it.

Owns: Recorder: the run's clock, its journal and its counts. Must never do: write down a call before
it is over, or leave one out. A call begins before its first byte is written and ends after its last
was read, so that an operation's times always enclose the moment of its effect.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from jepsen_like.client.member_client import MemberClient
from jepsen_like.history.journal import Journal
from jepsen_like.history.operation import Fault, MemberState, Operation, Watch
from jepsen_like.history.request import Request
from jepsen_like.history.result import Refused, Unknown


@dataclass(slots=True)
class Counts:
    ok: int = 0
    unknown: int = 0
    refused: int = 0
    watches: int = 0
    events: int = 0
    faults: int = 0


class Recorder:
    """``now_s`` is the clock of the history: seconds since the recorder was made."""

    def __init__(self, journal: Journal) -> None:
        self.counts = Counts()
        self._journal = journal
        self._zero_s = time.monotonic()

    def now_s(self) -> float:
        return time.monotonic() - self._zero_s

    async def ask(
        self, process: int, member: str, client: MemberClient, request: Request
    ) -> Operation:
        called_s = self.now_s()
        outcome = await client.ask(request)
        operation = Operation(process, member, called_s, self.now_s(), request, outcome)
        self._journal.record(operation)
        match outcome:
            case Unknown():
                self.counts.unknown += 1
            case Refused():
                self.counts.refused += 1
            case _:
                self.counts.ok += 1
        return operation

    def watch(self, watch: Watch) -> None:
        self._journal.record(watch)
        self.counts.watches += 1
        self.counts.events += sum(len(response.events) for response in watch.responses)

    def fault(self, fault: Fault) -> None:
        self._journal.record(fault)
        self.counts.faults += 1

    def state(self, state: MemberState) -> None:
        self._journal.record(state)
