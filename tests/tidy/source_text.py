"""The repository's hand-written Python, parsed once, for the tests that judge its text.

Owns: which files are judged and how they are read. Must never do: decide what is tidy.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("raftkv", "apiserver_shim", "jepsen_like", "benchmarks", "deploy", "tests")
GENERATED = ROOT / "raftkv" / "api"


@dataclass(frozen=True)
class Source:
    """One Python file."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def is_test(self) -> bool:
        return self.name.startswith("tests/")

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=self.name)

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))

    def at(self, node: ast.AST) -> str:
        return f"{self.name}:{node.lineno}"


@lru_cache(maxsize=1)
def sources() -> tuple[Source, ...]:
    paths = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return tuple(Source(path, path.read_text()) for path in paths if GENERATED not in path.parents)


def extent(node: ast.AST) -> int:
    """Lines from the ``def`` or ``class`` line to the last, both counted."""
    return int(node.end_lineno) - int(node.lineno) + 1


def dotted(node: ast.expr) -> str:
    """``a.b.c`` for a name or an attribute of names, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return ""
