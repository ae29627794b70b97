"""What the shim in a member's process does: one file, mapped by both.

Owns: ShimControl, the only writer of that file, and the environment that loads the shim. Must never
do: let the member's monotonic clock go back or jump: its rate changes, its reading goes on.
``shim.c`` describes the fields; both use the machine's byte order.
"""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path

from jepsen_like.preload.library import build

SOURCE = Path(__file__).with_name("shim.c")
NS_PER_S = 1_000_000_000
MILLION = 1_000_000
_SEQUENCE = struct.Struct("=Q")
_FIELDS = struct.Struct("=5q")


class ShimControl:
    """Made before the member starts; its settings outlive the process, as a broken clock would."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_bytes(bytes(_SEQUENCE.size + _FIELDS.size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._sequence = 0
        self._wall_ns = 0
        self._from_ns = self._shown_ns = time.monotonic_ns()
        self._rate_ppm = 0
        self._sync_ns = 0
        self._write()

    @property
    def environment(self) -> dict[str, str]:
        """What the process needs in its environment. Raises BuildError."""
        return {"LD_PRELOAD": str(build(SOURCE)), "JEPSEN_SHIM": str(self._path.resolve())}

    def set_wall(self, offset_s: float) -> None:
        """The time of day is wrong by that much from now on; 0 sets it right."""
        self._wall_ns = round(offset_s * NS_PER_S)
        self._write()

    def set_rate(self, rate_ppm: int) -> None:
        """The monotonic clock gains so many parts in a million from now on; what it has gained
        stays with it."""
        now_ns = time.monotonic_ns()
        since_ns = now_ns - self._from_ns
        self._shown_ns += since_ns + since_ns * self._rate_ppm // MILLION
        self._from_ns, self._rate_ppm = now_ns, rate_ppm
        self._write()

    def set_sync_delay(self, delay_s: float) -> None:
        self._sync_ns = round(delay_s * NS_PER_S)
        self._write()

    def close(self) -> None:
        self._map.close()

    def _write(self) -> None:
        """Odd while the fields change: a reader that sees it tries again."""
        fields = (self._wall_ns, self._from_ns, self._shown_ns, self._rate_ppm, self._sync_ns)
        self._put(0, _SEQUENCE.pack(self._sequence + 1))
        self._put(_SEQUENCE.size, _FIELDS.pack(*fields))
        self._sequence += 2
        self._put(0, _SEQUENCE.pack(self._sequence))

    def _put(self, offset: int, data: bytes) -> None:
        self._map[offset : offset + len(data)] = data
