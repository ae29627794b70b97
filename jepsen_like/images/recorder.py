"""Running a process under the recorder.

Owns: the environment of the recorded process, and when it counts as recorded. Must never do: record
less without a word: a process that left no log is an error.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jepsen_like.images.stream import Stream, read_stream
from jepsen_like.preload.library import build

SOURCE = Path(__file__).with_name("recorder.c")
RECORDING_S_MAX = 120


class RecorderError(Exception):
    """The recorded process was not recorded, or ended in an unforeseen way."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a process did, how it ended and what it said on its standard error."""

    stream: Stream
    status: int
    stderr: str


def record(
    command: Sequence[str], directory: Path, log: Path, *, failing_sync: int = 0
) -> Recording:
    """Run ``command`` to its end and return what it did under ``directory``."""
    directory = directory.resolve()
    environment = dict(os.environ)
    environment |= {
        "LD_PRELOAD": str(build(SOURCE)),
        "IMAGES_DIR": str(directory),
        "IMAGES_LOG": str(log),
        "PYTHONHASHSEED": "0",
    }
    if failing_sync:
        environment["IMAGES_FAIL_SYNC"] = str(failing_sync)
    log.unlink(missing_ok=True)
    ended = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RECORDING_S_MAX,
        check=False,
    )
    if not log.exists():
        raise RecorderError(f"{command[0]} was not recorded: {ended.stderr}")
    return Recording(read_stream(log, directory), ended.returncode, ended.stderr)
