"""/debug/pprof/: where a running member spends its time, and what fills its memory.

Owns: the sampling of the event loop's stack, and a count of objects. Must never do: run unless
--enable-pprof asked for it (or the log level is debug, as in etcd), more than one profile at a
time, or for longer than SECONDS_MAX. A profile is text in the folded form that flamegraph.pl and
speedscope read (a stack per line, frames from the outside in, then how often it was seen), not
pprof's own.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections import Counter
from types import FrameType

from raftkv.gateway.target import path_of, query_of
from raftkv.wire.service import HttpHandler, HttpRequest, HttpResponse

PREFIX = "/debug/pprof/"
SECONDS_DEFAULT = 30
SECONDS_MAX = 300
SAMPLES_PER_SECOND = 100
FRAMES_MAX = 128
TYPES_SHOWN = 50
INDEX = (
    b"profile?seconds=N  the event loop's stacks, sampled for N seconds (30), as folded text\n"
    b"heap               how many objects of which type the garbage collector knows\n"
    b"threads            what every thread does at this moment\n"
)


class ProfilePages:
    """Implements ``service.HttpHandler``: PREFIX here, everything else behind it. Made on the
    loop's thread, which is the one that is sampled."""

    def __init__(self, gateway: HttpHandler) -> None:
        self._gateway = gateway
        self._loop_thread = threading.get_ident()
        self._sampling = False

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        path = path_of(request.target)
        if not path.startswith(PREFIX):
            return await self._gateway(request)
        if request.method != "GET":
            return HttpResponse(405, b"Method Not Allowed\n", headers={"allow": "GET"})
        match path.removeprefix(PREFIX):
            case "":
                return HttpResponse(200, INDEX)
            case "profile":
                return await self._profile(query_of(request))
            case "heap":
                return HttpResponse(200, await asyncio.to_thread(heap_summary))
            case "threads":
                return HttpResponse(200, thread_stacks())
        return HttpResponse(404, b"404 page not found\n")

    async def _profile(self, query: dict[str, list[str]]) -> HttpResponse:
        text = query.get("seconds", [str(SECONDS_DEFAULT)])[0]
        if not text.isdecimal() or not 1 <= int(text) <= SECONDS_MAX:
            return HttpResponse(400, b"seconds must be a whole number from 1 to %d\n" % SECONDS_MAX)
        if self._sampling:
            return HttpResponse(429, b"a profile is being taken already\n")
        self._sampling = True
        try:
            counts = await asyncio.to_thread(sample, self._loop_thread, int(text))
        finally:
            self._sampling = False
        lines = [f"{stack} {number}" for stack, number in sorted(counts.items())]
        return HttpResponse(200, ("\n".join(lines) + "\n").encode())


def sample(thread: int, seconds: float) -> Counter[str]:
    """How often ``thread`` was seen in which stack. Blocks for ``seconds``."""
    counts: Counter[str] = Counter()
    pause = threading.Event()
    for _ in range(round(seconds * SAMPLES_PER_SECOND)):
        pause.wait(1 / SAMPLES_PER_SECOND)
        frame = sys._current_frames().get(thread)
        if frame is not None:
            counts[folded(frame)] += 1
    return counts


def folded(frame: FrameType | None) -> str:
    """The stack of ``frame`` from the outside in; the innermost FRAMES_MAX of it."""
    names: list[str] = []
    while frame is not None and len(names) < FRAMES_MAX:
        code = frame.f_code
        names.append(f"{frame.f_globals.get('__name__', '?')}:{code.co_qualname}")
        frame = frame.f_back
    return ";".join(reversed(names))


def heap_summary() -> bytes:
    """The types with the most objects, with how many bytes these hold by themselves."""
    numbers: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for thing in gc.get_objects():
        name = f"{type(thing).__module__}.{type(thing).__qualname__}"
        numbers[name] += 1
        sizes[name] += sys.getsizeof(thing, 0)
    lines = [f"made before the start, not listed: {gc.get_freeze_count()}", "objects bytes type"]
    lines += [f"{number} {sizes[name]} {name}" for name, number in numbers.most_common(TYPES_SHOWN)]
    return ("\n".join(lines) + "\n").encode()


def thread_stacks() -> bytes:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames().items()
    lines = [f"{names.get(ident, ident)} {folded(frame)}" for ident, frame in frames]
    return ("\n".join(lines) + "\n").encode()
