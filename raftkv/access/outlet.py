"""Lines of the access log on their way to a file, without the event loop waiting for them.

Owns: the lines that wait, within LINES_WAITING_MAX and BYTES_WAITING_MAX, and the thread that
writes them, many at a time. Must never do: block whoever puts a line: one that finds no room is
counted and left out, and a line of its own tells how many, once there is room again; or have the
thread do more with the interpreter than join the lines: the loop waits for it meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Protocol

LINES_WAITING_MAX = 100_000
BYTES_WAITING_MAX = 64 << 20
FLUSH_S = 0.05
"""How long a line may wait for others to leave with it."""
CLOSE_WITHIN_S = 2.0


class Output(Protocol):
    def write(self, line: bytes) -> None:
        """Raises OSError."""

    def close(self) -> None: ...


Later = Callable[[float, Callable[[], None]], object]
_Batch = tuple[Sequence[str], int]


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
        self._waiting: list[str] = []
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

    def put(self, line: str) -> None:
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
            self._append(_dropped_line(untold))
        self.lines += 1
        self._append(line)
        if not self._is_due:
            self._is_due = True
            self._later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Hand over what waits to the thread."""
        self._is_due = False
        if self._waiting:
            lines, self._waiting = self._waiting, []
            size = self._given_bytes - self._flushed_bytes
            self._flushed_bytes = self._given_bytes
            self._batches.put((lines, size))

    def close(self) -> None:
        """Write what waits, for CLOSE_WITHIN_S at most."""
        if not self._closing:
            self.flush()
            self._closing = True
            self._batches.put(None)
            self._thread.join(CLOSE_WITHIN_S)

    def _append(self, line: str) -> None:
        self._given_lines += 1
        self._given_bytes += len(line)
        self._waiting.append(line)

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            lines, size = batch
            try:
                self._output.write(("\n".join(lines) + "\n").encode("ascii"))
            except OSError:
                self.failed += len(lines)  # a full disk, a closed pipe: counted, the next may pass
            self._done_lines += len(lines)
            self._done_bytes += size
        self._output.close()
