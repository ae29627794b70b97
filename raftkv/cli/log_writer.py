"""Log lines on their way out, without the event loop waiting for them.

Owns: a bounded queue of lines, and the thread that writes them to every output. Must never do:
block whoever logs: what finds the queue full, because a pipe is full that nobody reads, is counted
and left out, and the count is a line of its own once there is room again.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from raftkv.log_fields import fields

LINES_WAITING_MAX = 10_000
CLOSE_WITHIN_S = 2.0


class Output(Protocol):
    def write(self, line: bytes) -> None:
        """Raises OSError."""

    def close(self) -> None: ...


class LogWriter(logging.Handler):
    """``close`` waits CLOSE_WITHIN_S at most for what is queued."""

    def __init__(self, outputs: Sequence[Output], *, lines_max: int = LINES_WAITING_MAX) -> None:
        super().__init__()
        self._outputs = tuple(outputs)
        self._lines: queue.Queue[bytes | None] = queue.Queue(lines_max)
        self._dropped = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that no output got, and that no line has told of yet."""
        return self._dropped

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._dropped and self._lines.qsize() < self._lines.maxsize // 2:
                dropped, self._dropped = self._dropped, 0
                self._put(self.format(_dropped_record(dropped)), dropped)
            self._put(self.format(record), 1)
        except Exception:  # noqa: BLE001 - a line that cannot be formatted must not end a request
            self.handleError(record)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._end_queue()
            self._thread.join(CLOSE_WITHIN_S)
        super().close()

    def _put(self, line: str, lines: int) -> None:
        try:
            self._lines.put_nowait(line.encode("utf-8", "replace") + b"\n")
        except queue.Full:
            self._dropped += lines

    def _end_queue(self) -> None:
        try:
            self._lines.put(None, timeout=CLOSE_WITHIN_S)
        except queue.Full:
            self._dropped += 1  # nobody reads: the process ends without its last lines

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            for output in self._outputs:
                try:
                    output.write(line)
                except OSError:
                    self._dropped += 1  # a full disk, a closed pipe: told with the next line
        for output in self._outputs:
            output.close()


class Descriptor:
    """Standard output or standard error, which stay open."""

    def __init__(self, number: int, write: Callable[[int, bytes], int]) -> None:
        self._number = number
        self._write = write

    def write(self, line: bytes) -> None:
        while line:
            line = line[self._write(self._number, line) :]

    def close(self) -> None:
        """It is the process's, not ours."""


def _dropped_record(lines: int) -> logging.LogRecord:
    record = logging.LogRecord(
        "raftkv.log", logging.WARNING, __file__, 0, "log lines were left out", None, None
    )
    record.fields = fields(lines=lines, reason="an output did not take them")["fields"]
    return record
