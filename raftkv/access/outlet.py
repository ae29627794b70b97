"""Records of the access log on their way to a file, without the event loop waiting for them.

Owns: the records that wait, within LINES_WAITING_MAX and BYTES_WAITING_MAX, and the thread that
makes them lines and writes these, many at a time. Must never do: block whoever puts a record: one
that finds no room is counted and left out, and a line of its own tells how many, once there is room
again; or hold the interpreter for longer than a few lines take: the loop, which waits for the disk
every turn, has it back after LINES_AT_ONCE.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Protocol

log = logging.getLogger("raftkv.access")

LINES_WAITING_MAX = 100_000
BYTES_WAITING_MAX = 64 << 20
FLUSH_S = 0.05
"""How long a record may wait for others to leave with it."""
LINES_AT_ONCE = 32
PAUSE_S = 0.000_1
CLOSE_WITHIN_S = 2.0


class Output(Protocol):
    def write(self, line: bytes) -> None:
        """Raises OSError."""

    def close(self) -> None: ...


Later = Callable[[float, Callable[[], None]], object]
Record = tuple[Any, ...]
"""A function that makes the line (ASCII, without its end) on the thread, and its arguments."""
_Batch = tuple[Sequence[Record], int]


def _dropped_line(lines: int) -> str:
    return f'{{"event":"dropped","lines":{lines}}}'


class LineOutlet:
    """``put`` and ``flush`` on the loop's thread; ``later`` calls back there after seconds."""

    def __init__(
        self,
        output: Output,
        later: Later,
        *,
        lines_max: int = LINES_WAITING_MAX,
        bytes_max: int = BYTES_WAITING_MAX,
    ) -> None:
        self._output = output
        self._later = later
        self._lines_max = lines_max
        self._bytes_max = bytes_max
        self._records: list[Record] = []
        self._batches: SimpleQueue[_Batch | None] = SimpleQueue()
        self._untold = 0
        self._is_due = False
        self._closing = False
        # Each is changed by one thread alone: the loop's adds to the first three, ours to the rest.
        self._given_lines = self._given_bytes = self._flushed_bytes = 0
        self._done_lines = self._done_bytes = 0
        self.lines = 0
        self.dropped = 0
        self.failed = 0
        """Lines that an error of the disk or of a pipe took, among those that were not dropped."""
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Lines that are not written yet."""
        return self._given_lines - self._done_lines

    def put(self, record: Record, size: int) -> None:
        """``size``: about how many bytes the record keeps alive."""
        if (
            self._closing
            or self._given_lines - self._done_lines >= self._lines_max
            or self._given_bytes - self._done_bytes >= self._bytes_max
        ):
            self.dropped += 1
            self._untold += 1
            return
        if self._untold:
            untold, self._untold = self._untold, 0
            self._append((_dropped_line, untold), 0)
        self.lines += 1
        self._append(record, size)
        if not self._is_due:
            self._is_due = True
            self._later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Hand over what waits to the thread."""
        self._is_due = False
        if self._records:
            records, self._records = self._records, []
            size = self._given_bytes - self._flushed_bytes
            self._flushed_bytes = self._given_bytes
            self._batches.put((records, size))

    def close(self) -> None:
        """Write what waits, for CLOSE_WITHIN_S at most."""
        if not self._closing:
            self.flush()
            self._closing = True
            self._batches.put(None)
            self._thread.join(CLOSE_WITHIN_S)

    def _append(self, record: Record, size: int) -> None:
        self._given_lines += 1
        self._given_bytes += size
        self._records.append(record)

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            records, size = batch
            self._write(records)
            self._done_lines += len(records)
            self._done_bytes += size
        self._output.close()

    def _write(self, records: Sequence[Record]) -> None:
        try:
            self._output.write(self._lines_of(records))
        except OSError:
            self.failed += len(records)  # a full disk, a closed pipe: counted, the next may pass
        except Exception as error:
            self.failed += len(records)
            log.error("lines of the access log cannot be made", exc_info=error)

    def _lines_of(self, records: Sequence[Record]) -> bytes:
        lines: list[str] = []
        for at in range(0, len(records), LINES_AT_ONCE):
            lines += [make(*given) for make, *given in records[at : at + LINES_AT_ONCE]]
            if not self._closing:
                time.sleep(PAUSE_S)
        lines.append("")
        return "\n".join(lines).encode("ascii")
