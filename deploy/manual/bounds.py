"""Every bound in raftkv's code, found in its text.

Owns: what counts as one: a constant called ..._MAX, and each number in a class called ...Limits;
its value, and what the code says of it. Must never do: leave one out because nobody described it.
"""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

_LEFT_OUT = ("simulation", "api")
"""Not of a member's process; generated."""
_CLASS = "Limits"


@dataclass(frozen=True, slots=True)
class Bound:
    """``module`` is below raftkv; ``text`` is the code's own, "" where it lets the name speak."""

    module: str
    name: str
    value: Any
    text: str


def bounds(package: Path) -> Iterator[Bound]:
    """In the order of modules and lines. Imports every module that has one."""
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts[0] not in _LEFT_OUT:
            yield from _of_module(".".join(parts), path.read_text())


def _of_module(name: str, text: str) -> Iterator[Bound]:
    tree = ast.parse(text)
    comments = _comments(text)
    for at, node in enumerate(tree.body):
        if isinstance(node, ast.ClassDef) and node.name.endswith(_CLASS):
            yield from _of_class(name, node, comments)
        constant = _target(node)
        if constant.isupper() and (constant.endswith("_MAX") or "_MAX_" in constant):
            value = getattr(import_module(f"raftkv.{name}"), constant)
            yield Bound(name, constant, value, _said(tree.body, at, comments))


def _of_class(module: str, node: ast.ClassDef, comments: dict[int, str]) -> Iterator[Bound]:
    kind = getattr(import_module(f"raftkv.{module}"), node.name)
    defaults = {field.name: field.default for field in fields(kind)}
    for at, each in enumerate(node.body):
        name = _target(each)
        if isinstance(defaults.get(name), int | float) and not isinstance(defaults[name], bool):
            text = _said(node.body, at, comments)
            yield Bound(module, f"{node.name}.{name}", defaults[name], text)


def _target(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    return ""


def _said(body: list[ast.stmt], at: int, comments: dict[int, str]) -> str:
    """The text that follows, or the comment on the lines before."""
    after = body[at + 1] if at + 1 < len(body) else None
    if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
        return " ".join(str(after.value.value).split())
    lines: list[str] = []
    line = body[at].lineno - 1
    while line in comments:
        lines.insert(0, comments[line])
        line -= 1
    return " ".join(each for each in lines if not each.startswith("---"))


def _comments(text: str) -> dict[int, str]:
    """Those that have a line of their own."""
    found = {}
    for token in tokenize.generate_tokens(StringIO(text).readline):
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip():
            found[token.start[0]] = token.string.lstrip("# ")
    return found
