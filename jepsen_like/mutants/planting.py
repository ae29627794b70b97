"""Changing modules on their way into this process.

Owns: the finder that replaces a module's text when it is imported. Must never do: touch a file, or
let a change pass that does not fit: a mutant that no longer applies would be "killed" by nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import cast

from jepsen_like.mutants.mutant import Change, Mutant


class MutantDoesNotApply(Exception):
    """The code has changed: bring the mutant's text up to date."""


def changed(source: str, changes: Sequence[Change]) -> str:
    """``source`` with every change made. Raises MutantDoesNotApply."""
    for change in changes:
        found = source.count(change.old)
        if found != 1:
            raise MutantDoesNotApply(
                f"{change.module} has the text to change {found} times, not once:\n{change.old}"
            )
        source = source.replace(change.old, change.new)
    return source


def source_of(module: str) -> str:
    """The unchanged text of a module. Raises MutantDoesNotApply when there is none."""
    spec = _find(module)
    if spec is None or spec.origin is None:
        raise MutantDoesNotApply(f"there is no module {module}")
    with open(spec.origin, encoding="utf-8") as file:
        return file.read()


def plant(mutant: Mutant) -> None:
    """From now on imports of the mutant's modules give the changed ones."""
    by_module: dict[str, list[Change]] = {}
    for change in mutant.changes:
        by_module.setdefault(change.module, []).append(change)
    loaded = [name for name in by_module if name in sys.modules]
    assert not loaded, f"{', '.join(loaded)} is imported already: too late to plant"
    for module, changes in by_module.items():
        changed(source_of(module), changes)
    sys.meta_path.insert(0, _Finder(by_module))


def _find(module: str) -> ModuleSpec | None:
    path: Sequence[str] | None = None
    spec: ModuleSpec | None = None
    parts = module.split(".")
    for depth in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: depth + 1]), path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec


class _Loader(SourceFileLoader):
    def __init__(self, spec: ModuleSpec, changes: Sequence[Change]) -> None:
        assert spec.origin is not None, spec.name
        super().__init__(spec.name, spec.origin)
        self._changes = changes

    def get_code(self, fullname: str) -> CodeType:
        """Never from a cache, and never into one."""
        source = changed(source_of(fullname), self._changes)
        code: CodeType = compile(source, f"{self.path} (mutant)", "exec", dont_inherit=True)
        return code


class _Finder(MetaPathFinder):
    def __init__(self, by_module: dict[str, list[Change]]) -> None:
        self._by_module = by_module

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._by_module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None, fullname
        spec.loader = cast(SourceFileLoader, _Loader(spec, self._by_module[fullname]))
        return spec
