"""A process of its own for the judge: an image may kill whoever opens it.

Owns: the judging process, its restart after a death, and the death as a violation. Must never do:
outlive its owner. A database with bad pages makes LMDB crash, not raise.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

from jepsen_like.history.request import Request
from jepsen_like.images.filesystem import Image
from jepsen_like.images.judge import Judge, Violation

_SPAWN = get_context("spawn")
END_WITHIN_S = 10.0


class Courtroom:
    """A context manager; ``judge`` gives the reason of a violation, or None."""

    def __init__(self, requests: Sequence[Request], *, members: int, scratch: Path) -> None:
        self._requests = tuple(requests)
        self._members = members
        self._scratch = scratch
        self._lives = 0
        self._start()

    def judge(
        self, image: Image, *, acknowledged: int, sent: int, again: bool = False
    ) -> str | None:
        try:
            self._ours.send((image, acknowledged, sent, again))
            reason: str | None = self._ours.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            died_of = self._end()
            self._start()
            return f"who opens it dies: {died_of}"
        return reason

    def __enter__(self) -> Courtroom:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _start(self) -> None:
        self._lives += 1
        self._ours, theirs = _SPAWN.Pipe()
        scratch = self._scratch / f"court-{self._lives}"
        self._process = _SPAWN.Process(
            target=_sit, args=(theirs, self._requests, self._members, scratch), daemon=True
        )
        self._process.start()
        theirs.close()

    def _end(self) -> str:
        self._ours.close()
        self._process.join(END_WITHIN_S)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        code = self._process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def _sit(theirs: Connection, requests: Sequence[Request], members: int, scratch: Path) -> None:
    """The judging process: until the owner closes its end."""
    logging.disable(logging.CRITICAL)  # members complain about images, as they should
    judge = Judge(requests, members=members, scratch=scratch)
    while True:
        try:
            image, acknowledged, sent, again = theirs.recv()
        except EOFError:
            return
        try:
            judge.judge(image, acknowledged=acknowledged, sent=sent, again=again)
            theirs.send(None)
        except Violation as e:
            theirs.send(str(e))
        except Exception as e:  # noqa: BLE001 - whatever an image makes the members raise
            theirs.send(f"it makes a member raise {e!r}")
