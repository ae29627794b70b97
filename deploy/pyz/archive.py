"""raftkv.pyz, and the same as a tree: raftkv's wheel with all that it needs.

Owns: what goes in, in which order, and the digest of it. The same inputs give the same bytes. Must
never do: run anything of what it packs; ``bootstrap`` does, on the machine that starts it.
"""

from __future__ import annotations

import hashlib
import json
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path

from deploy.pyz.closure import files_of, runtime_distributions

SHEBANG = b"#!/usr/bin/env python3\n"
_WHEN = (1980, 1, 1, 0, 0, 0)
"""The first date that a zip file can name."""
_MODE = 0o644 << 16

Contents = dict[str, bytes]


def contents_of(wheel: Path) -> Contents:
    """By name below site-packages: the wheel's files, and those of what it requires."""
    with zipfile.ZipFile(wheel) as opened:
        found = {name: opened.read(name) for name in opened.namelist() if not name.endswith("/")}
    (metadata,) = (name for name in found if name.endswith(".dist-info/METADATA"))
    required = Parser().parsestr(found[metadata].decode()).get_all("Requires-Dist") or []
    for package in runtime_distributions([text for text in required if "extra ==" not in text]):
        found |= {name: file.read_bytes() for name, file in files_of(package)}
    return dict(sorted(found.items()))


def write_archive(contents: Contents, path: Path) -> str:
    """Gives the digest, by which the archive's unpacked files are kept."""
    bootstrap = Path(__file__).with_name("bootstrap.py").read_bytes()
    digest = digest_of(contents)
    about = {
        "digest": digest,
        "python": list(sys.version_info[:2]),
        "platform": sysconfig.get_platform(),
    }
    names = {"__main__.py": bootstrap, "about.json": json.dumps(about).encode()}
    with path.open("wb") as file:
        file.write(SHEBANG)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            packed = {f"site/{name}": data for name, data in contents.items()}
            for name, data in (names | packed).items():
                entry = zipfile.ZipInfo(name, _WHEN)
                entry.external_attr = _MODE
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, data)
    path.chmod(0o755)
    return digest


def write_tree(contents: Contents, place: Path) -> None:
    """As a directory for PYTHONPATH; for a container, whose layers are no zip file."""
    for name, data in contents.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def digest_of(contents: Contents) -> str:
    whole = hashlib.sha256()
    for name, data in contents.items():
        whole.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
    return whole.hexdigest()
