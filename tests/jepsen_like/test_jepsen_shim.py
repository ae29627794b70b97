"""The preloaded shim: a real CPython process under it sees the clocks and the disk it was given."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jepsen_like.preload.library import BuildError, build
from jepsen_like.preload.shim_control import ShimControl

CLOCKS = "import time; print(time.time(), time.monotonic())"
SYNC = """
import os, sys, time
began = time.monotonic()
with open(sys.argv[1], "w") as file:
    os.fdatasync(file.fileno())
    os.fsync(file.fileno())
print(time.monotonic() - began)
"""


def _under(control: ShimControl, program: str, *arguments: str) -> list[float]:
    """The numbers that a process prints."""
    command = [sys.executable, "-c", program, *arguments]
    environment = dict(os.environ) | control.environment
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [float(word) for word in ended.stdout.split()]


def test_nothing_is_wrong_at_first(tmp_path: Path) -> None:
    """Both clocks of a fresh shim are the machine's: they lie between ours before and after."""
    control = ShimControl(tmp_path / "shim")
    before = time.time(), time.monotonic()
    seen = _under(control, CLOCKS)
    after = time.time(), time.monotonic()
    for early, shown, late in zip(before, seen, after, strict=True):
        assert early - 0.001 <= shown <= late + 0.001


@pytest.mark.parametrize("offset_s", [-3600.0, 86400.5])
def test_the_time_of_day_jumps(offset_s: float, tmp_path: Path) -> None:
    """By what was set, in both directions, and the monotonic clock does not care."""
    control = ShimControl(tmp_path / "shim")
    control.set_wall(offset_s)
    before = time.time() + offset_s, time.monotonic()
    wall, monotonic = _under(control, CLOCKS)
    assert before[0] - 0.001 <= wall <= time.time() + offset_s + 0.001
    assert before[1] - 0.001 <= monotonic <= time.monotonic() + 0.001


def test_a_fast_clock_gains_and_never_goes_back(tmp_path: Path) -> None:
    """At ten times the rate a process sees ten times its own life; back at the right rate it keeps
    what was gained."""
    control = ShimControl(tmp_path / "shim")
    control.set_rate(9_000_000)
    began = time.monotonic()
    (_, fast) = _under(control, CLOCKS)
    true_s = time.monotonic() - began
    control.set_rate(0)
    assert fast > began
    assert fast - began <= 10 * true_s
    before = time.monotonic()
    first = _under(control, CLOCKS)[1]
    second = _under(control, CLOCKS)[1]
    assert fast <= first <= second
    assert first - before >= 8 * true_s


def test_a_slow_disk_keeps_a_sync_waiting(tmp_path: Path) -> None:
    """fdatasync and fsync each wait as long as was set, and no longer once that is over."""
    control = ShimControl(tmp_path / "shim")
    control.set_sync_delay(0.3)
    (slow,) = _under(control, SYNC, str(tmp_path / "file"))
    assert slow >= 0.6
    control.set_sync_delay(0)
    (fast,) = _under(control, SYNC, str(tmp_path / "file"))
    assert fast < 0.6


def test_a_source_that_does_not_compile_is_an_error(tmp_path: Path) -> None:
    """With the compiler's words, and no library is left."""
    source = tmp_path / "broken.c"
    source.write_text("int broken(\n")
    with pytest.raises(BuildError, match="does not compile"):
        build(source)
