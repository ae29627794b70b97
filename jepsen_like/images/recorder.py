"""Running a process under the recorder.

Owns: building ``recorder.c``, and the environment of the recorded process. Must never do: record
less without a word: a missing compiler or a failed build is an error.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jepsen_like.images.stream import Stream, read_stream

SOURCE = Path(__file__).with_name("recorder.c")
CACHE = Path(tempfile.gettempdir()) / f"jepsen-like-recorder-{os.getuid()}"
RECORDING_S_MAX = 120


class RecorderError(Exception):
    """The recorder could not be built, or the recorded process ended in an unforeseen way."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a process did, how it ended and what it said on its standard error."""

    stream: Stream
    status: int
    stderr: str


def build() -> Path:
    """The library, compiled once for each text of its source."""
    name = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    library = CACHE / f"recorder-{name}.so"
    if library.exists():
        return library
    CACHE.mkdir(mode=0o700, exist_ok=True)
    fresh = CACHE / f"{name}.{os.getpid()}.tmp"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", str(fresh), str(SOURCE)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as e:
        raise RecorderError("there is no C compiler (cc): .ci/tools installs gcc") from e
    except subprocess.CalledProcessError as e:
        raise RecorderError(f"{SOURCE} does not compile: {e.stderr}") from e
    fresh.rename(library)  # whole or not there, whoever builds at the same time
    return library


def record(
    command: Sequence[str], directory: Path, log: Path, *, failing_sync: int = 0
) -> Recording:
    """Run ``command`` to its end and return what it did under ``directory``."""
    directory = directory.resolve()
    environment = dict(os.environ)
    environment |= {
        "LD_PRELOAD": str(build()),
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
