"""Rounds of a fuzzer: inputs from a seed, up to a number or a time; what fails is shrunk.

Owns: the loop, the shrinking, and the file that a finding leaves. Must never do: know what is
fuzzed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

SECONDS_VARIABLE = "RAFTKV_LONG_SECONDS"
SEED_VARIABLE = "RAFTKV_FUZZ_SEED"
LONG_SECONDS = 600.0
SHRINK_RUNS_MAX = 300

Session = list[bytes]
Play = Callable[[Session], str]
"""Plays a session; "" when all is well, else what is wrong."""


class Found(AssertionError):
    """An input that the target did not stand."""


def long_seconds() -> float:
    return float(os.environ.get(SECONDS_VARIABLE, LONG_SECONDS))


def seed_or(default: int) -> int:
    return int(os.environ.get(SEED_VARIABLE, default))


def run_count(play: Play, make: Callable[[Random], Session], *, seed: int, count: int) -> None:
    """``count`` inputs. Raises Found."""
    random = Random(seed)
    for number in range(count):
        _try(play, make(random), seed, number)


def run_seconds(play: Play, make: Callable[[Random], Session], *, seed: int, seconds: float) -> int:
    """As many inputs as fit into ``seconds``; how many there were. Raises Found."""
    random = Random(seed)
    number = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        _try(play, make(random), seed, number)
        number += 1
    return number


def _try(play: Play, session: Session, seed: int, number: int) -> None:
    complaint = play(session)
    if not complaint:
        return
    smallest = shrunk(play, session)
    path = Path.cwd() / f"fuzz-finding-{seed}-{number}.bin"
    path.write_bytes(b"".join(smallest))
    raise Found(
        f"seed {seed}, input {number}: {complaint}\n"
        f"{len(smallest)} pieces are enough; they are in {path}: keep them under tests/fuzz/corpus"
    )


def shrunk(play: Play, session: Session) -> Session:
    """A shorter session that fails as well: whole pieces taken out, then the ends of pieces."""
    runs = 0

    def fails(candidate: Session) -> bool:
        nonlocal runs
        runs += 1
        return runs <= SHRINK_RUNS_MAX and bool(play(candidate))

    at = 0
    while at < len(session) and len(session) > 1:
        candidate = session[:at] + session[at + 1 :]
        if fails(candidate):
            session = candidate
        else:
            at += 1
    for at, piece in enumerate(session):
        while len(piece) > 1:
            half = [*session[:at], piece[: len(piece) // 2], *session[at + 1 :]]
            if not fails(half):
                break
            session, piece = half, half[at]
    return session
