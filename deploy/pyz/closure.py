"""Which installed packages raftkv needs at run time, and their files.

Owns: following requirements from raftkv's own, without the extras. Must never do: install or
download: what is taken is what .ci/venv installed from requirements.lock, hashes checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from apiserver_shim.schemas.definitions import VERSION

_SCHEMAS = "kubernetes_validate/kubernetes-json-schema/"
_SCHEMA = f"{_SCHEMAS}v{VERSION}-local/_definitions.json"
"""Of the schemas of thirteen releases of Kubernetes one file is read."""
_NEEDLESS = frozenset({".pyi", ".pyc", ".pyx", ".pxd", ".c", ".h"})


def runtime_distributions(requirements: list[str]) -> list[Distribution]:
    """All that these need and what that needs in turn, by name. Raises RuntimeError for one that is
    not installed."""
    found: dict[str, Distribution] = {}
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        wanted, extra = waiting.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            raise RuntimeError(f"{name} is not installed: run .ci/venv .venv") from None
        for text in found[name].requires or ():
            waiting += [(Requirement(text), each) for each in (wanted.extras or {""})]
    return [found[name] for name in sorted(found)]


def files_of(package: Distribution) -> Iterator[tuple[str, Path]]:
    """(name below site-packages, file) of what is to be shipped: no scripts, stubs or caches."""
    for path in package.files or ():
        name = str(path)
        if path.parts[0] == ".." or PurePosixPath(name).suffix in _NEEDLESS:
            continue
        if name.startswith(_SCHEMAS) and name != _SCHEMA:
            continue
        file = Path(str(package.locate_file(path)))
        if file.is_file():
            yield name, file
