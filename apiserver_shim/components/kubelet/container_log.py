"""What a container wrote: kept in a file in the form of the container runtimes (CRI), bounded.

Owns: the file, its rotation, and reading it back. Must never do: block the event loop, or grow past
two files of LOG_BYTES_MAX. A line: ``<time> <stdout|stderr> <F|P> <text>``; P is a piece of a line
longer than PIECE_BYTES_MAX.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from apiserver_shim.components.clocks import Clock, moment

LOG_BYTES_MAX = 10 * 1024 * 1024
PIECE_BYTES_MAX = 16 * 1024
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class LogOptions:
    """As the query of containerLogs says. ``since``: a time stamp or empty."""

    tail: int | None = None
    timestamps: bool = False
    follow: bool = False
    since: str = ""


class ContainerLog:
    """One run of one container. ``close`` when it has ended: followers then end too."""

    def __init__(self, path: Path, clock: Clock, *, limit: int = LOG_BYTES_MAX) -> None:
        self._path = path
        self._older = path.with_suffix(".1.log")
        self._clock = clock
        self._limit = limit
        self._generation = 0
        self._closed = False
        self._writing = asyncio.Lock()
        self._grown = asyncio.Condition()

    async def copy(self, stream: asyncio.StreamReader, name: str) -> None:
        """Until the stream's end. ``name`` is stdout or stderr."""
        rest = b""
        while chunk := await stream.read(CHUNK_BYTES):
            *whole, rest = (rest + chunk).split(b"\n")
            lines = [piece for line in whole for piece in self._pieces(name, line)]
            while len(rest) >= PIECE_BYTES_MAX:
                lines.append(self._line(name, "P", rest[:PIECE_BYTES_MAX]))
                rest = rest[PIECE_BYTES_MAX:]
            await self._append(b"".join(lines))
        if rest:
            await self._append(self._line(name, "F", rest))

    def _pieces(self, name: str, line: bytes) -> list[bytes]:
        pieces = []
        while len(line) > PIECE_BYTES_MAX:
            pieces.append(self._line(name, "P", line[:PIECE_BYTES_MAX]))
            line = line[PIECE_BYTES_MAX:]
        return [*pieces, self._line(name, "F", line)]

    def _line(self, name: str, tag: str, text: bytes) -> bytes:
        return f"{self._clock.micro_stamp()} {name} {tag} ".encode() + text + b"\n"

    async def _append(self, data: bytes) -> None:
        if not data:
            return
        async with self._writing:
            await asyncio.to_thread(self._write, data)
        async with self._grown:
            self._grown.notify_all()

    def _write(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and self._path.stat().st_size + len(data) > self._limit:
            self._path.replace(self._older)
            self._generation += 1
        with self._path.open("ab") as file:
            file.write(data)

    async def close(self) -> None:
        async with self._grown:
            self._closed = True
            self._grown.notify_all()

    async def remove(self) -> None:
        """Nobody can ask for it any more."""
        for path in (self._path, self._older):
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def read(self, options: LogOptions) -> AsyncIterator[bytes]:
        """What is there, then, if asked, what comes until the container ends."""
        async with self._writing:
            generation = self._generation
            raw = await asyncio.to_thread(self._whole)
            at = (generation, await asyncio.to_thread(self._size))
        if first := shown(raw, options):
            yield first
        every = LogOptions(timestamps=options.timestamps)
        while options.follow:
            more, at = await self._after(at)
            if more:
                yield shown(more, every)
                continue
            async with self._grown:
                if at == (self._generation, self._size()):
                    if self._closed:
                        return
                    await self._grown.wait()

    async def _after(self, at: tuple[int, int]) -> tuple[bytes, tuple[int, int]]:
        """What was written since; lost is what has been rotated away twice meanwhile."""
        async with self._writing:
            return await asyncio.to_thread(self._after_blocking, *at)

    def _after_blocking(self, generation: int, offset: int) -> tuple[bytes, tuple[int, int]]:
        found = b""
        if generation != self._generation:
            if generation == self._generation - 1 and self._older.exists():
                found = self._older.read_bytes()[offset:]
            offset = 0
        found += self._path.read_bytes()[offset:] if self._path.exists() else b""
        return found, (self._generation, self._size())

    def _whole(self) -> bytes:
        return b"".join(p.read_bytes() for p in (self._older, self._path) if p.exists())

    def _size(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0


def shown(raw: bytes, options: LogOptions) -> bytes:
    """The lines as `kubectl logs` prints them."""
    found: deque[bytes] = deque(maxlen=options.tail)
    since = moment(options.since) if options.since else None
    piece = b""
    for line in raw.splitlines():
        when, _, rest = line.partition(b" ")
        _, _, rest = rest.partition(b" ")
        tag, _, text = rest.partition(b" ")
        if since is not None and moment(when.decode()) < since:
            continue
        head = when + b" " if options.timestamps and not piece else b""
        piece += head + text
        if tag == b"F":
            found.append(piece + b"\n")
            piece = b""
    return b"".join(found)
