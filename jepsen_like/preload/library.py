"""Compiling a preloaded library from its C source, once for each text of it.

Owns: ``build`` and where its results are kept. Must never do: go on without the library: a missing
compiler or a failed build is an error.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

CACHE = Path(tempfile.gettempdir()) / f"jepsen-like-preload-{os.getuid()}"


class BuildError(Exception):
    """The library could not be built; the text says why."""


def build(source: Path) -> Path:
    """The shared library of one C file, to be named in LD_PRELOAD."""
    name = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    library = CACHE / f"{source.stem}-{name}.so"
    if library.exists():
        return library
    CACHE.mkdir(mode=0o700, exist_ok=True)
    fresh = CACHE / f"{name}.{os.getpid()}.tmp"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", str(fresh), str(source)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as e:
        raise BuildError("there is no C compiler (cc): .ci/tools installs gcc") from e
    except subprocess.CalledProcessError as e:
        raise BuildError(f"{source} does not compile: {e.stderr}") from e
    fresh.rename(library)  # whole or not there, whoever builds at the same time
    return library
