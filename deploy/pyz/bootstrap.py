"""What raftkv.pyz runs first: its files unpacked once, then the program that was asked for.

Owns: the directory of the unpacked files, named by their digest. Native modules cannot be imported
from a zip file, so all of it is unpacked, whole or not at all: into a directory beside, which is
then renamed; of two starts at once one wins, and the other takes what is there. Must never do: run
what somebody else may have written: the directory is its owner's alone, or it is refused. Knows
nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import sysconfig
import tempfile
import zipfile
from importlib import import_module
from pathlib import Path

PROGRAMS = {
    "raftkv": "raftkv.cli.main",
    "raftkv-apiserver": "apiserver_shim.cli.apiserver",
    "raftkv-control-plane": "apiserver_shim.cli.control_plane.main",
}
CACHE = "RAFTKV_CACHE"
"""Where to unpack; else systemd's CACHE_DIRECTORY, else the user's own cache directory."""


class Refusal(Exception):
    """One line for whoever started it."""


def main() -> None:
    try:
        name, arguments = chosen(Path(sys.argv[0]).name, sys.argv[1:])
        site = unpacked(Path(sys.argv[0]), cache_directory(dict(os.environ)))
    except (Refusal, OSError) as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
    kept = os.environ.get("PYTHONPATH", "")
    # For the processes that `raftkv local` and the control plane start.
    os.environ["PYTHONPATH"] = f"{site}{os.pathsep}{kept}" if kept else str(site)
    sys.path[0] = str(site)
    sys.argv = [name, *arguments]
    # Not by its name in sys.modules: the programs' own modules called __main__ are others.
    import_module(PROGRAMS[name]).main()


def chosen(called: str, arguments: list[str]) -> tuple[str, list[str]]:
    """By the name that the file was called by, or by the first word: `raftkv.pyz apiserver`."""
    stem = called.removesuffix(".pyz")
    if stem != "raftkv" and stem in PROGRAMS:
        return stem, arguments
    if arguments and f"raftkv-{arguments[0]}" in PROGRAMS:
        return f"raftkv-{arguments[0]}", arguments[1:]
    return "raftkv", arguments


def cache_directory(environment: dict[str, str]) -> Path:
    for given in (environment.get(CACHE), environment.get("CACHE_DIRECTORY", "").split(":")[0]):
        if given:
            return Path(given)
    home = environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "raftkv"


def unpacked(archive: Path, cache: Path) -> Path:
    """The directory for sys.path. Raises Refusal and OSError."""
    with zipfile.ZipFile(archive) as opened:
        about = json.loads(opened.read("about.json"))
        here = {"python": list(sys.version_info[:2]), "platform": sysconfig.get_platform()}
        for what, mine in here.items():
            if about[what] != mine:
                raise Refusal(
                    f"it was made for {what} {about[what]}, this is {mine}: see docs/deploy.md"
                )
        place = cache / str(about["digest"])
        private_directory(cache)
        if not place.exists():
            unpack(opened, cache, place)
    private_directory(place)
    return place / "site"


def private_directory(place: Path) -> None:
    """Made if it is not there. Raises Refusal for one that others may write."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise Refusal(
            f"{place} must be a directory of user {os.geteuid()} that nobody else may write: "
            f"chmod 0700 it, or set {CACHE} to another one"
        )


def unpack(archive: zipfile.ZipFile, cache: Path, place: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=cache))
    try:
        archive.extractall(
            unfinished, [name for name in archive.namelist() if name.startswith("site/")]
        )
        os.sync()  # a power cut must not leave a directory under its name with half of its files
        unfinished.rename(place)
    except OSError:
        if not place.exists():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


if __name__ == "__main__":
    main()
