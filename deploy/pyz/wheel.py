"""The sdist and the wheel, by the project's own build backend.

Owns: building in a copy of the sources, so that nothing is left among them. Must never do: download
anything: the backend is the one that requirements.lock pins.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = ("raftkv", "apiserver_shim", "jepsen_like")
FILES = ("pyproject.toml", "setup.py", "README.md")
_BUILD = """
import sys
from setuptools import build_meta
out, *hooks = sys.argv[1:]
for hook in hooks:
    getattr(build_meta, hook)(out)
"""
_SECONDS_MAX = 300


def build(source: Path, out: Path, *kinds: str) -> list[Path]:
    """``kinds`` are "sdist" and "wheel"; gives their files in ``out``. Raises RuntimeError with
    what the backend said."""
    out.mkdir(parents=True, exist_ok=True)
    before = set(out.iterdir())
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place)
        for package in PACKAGES:
            without = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source / package, copy / package, ignore=without)
        for name in FILES:
            shutil.copy(source / name, copy / name)
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                _BUILD,
                str(out.absolute()),
                *(f"build_{kind}" for kind in kinds),
            ],
            cwd=copy,
            capture_output=True,
            text=True,
            timeout=_SECONDS_MAX,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"building {' and '.join(kinds)} failed:\n{done.stdout}{done.stderr}")
    return sorted(set(out.iterdir()) - before)
