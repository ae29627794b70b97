"""Habits that a reviewer should not have to look for: each test names one and forbids it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.tidy.source_text import Source, dotted, sources

# A file called one of these has no noun of its own and collects everything.
NAMES_WITHOUT_A_NOUN = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
SLEEPS = {"time.sleep", "asyncio.sleep"}
LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}
SKIPS = re.compile(
    r"\b(pytest\.(skip|importorskip|xfail)|mark\.(skip|skipif|xfail)|unittest\.skip)"
)
# Spelled in two halves so that this file does not trip over itself.
LEFTOVERS = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|XX" + "X|HA" + r"CK)\b")


def test_every_module_says_what_it_is() -> None:
    """A module with code in it opens with a docstring."""
    silent = [
        source.name
        for source in sources()
        if source.tree.body and not ast.get_docstring(source.tree)
    ]
    assert not silent, "no module docstring:\n" + "\n".join(silent)


def test_every_test_says_its_goal() -> None:
    """Each test function has a docstring of its goal and method."""
    silent = [
        f"{source.at(node)}: {node.name}"
        for source in sources()
        if source.path.name.startswith("test_")
        for node in source.nodes(ast.FunctionDef, ast.AsyncFunctionDef)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent, "no docstring:\n" + "\n".join(silent)


def test_tests_never_sleep() -> None:
    """Tests wait for conditions; only ``asyncio.sleep(0)``, one turn of the loop, is allowed."""
    found = [
        source.at(call)
        for source in sources()
        if source.is_test
        for call in source.nodes(ast.Call)
        if dotted(call.func) in SLEEPS and not _is_zero(call)
    ]
    assert not found, "sleeps in tests:\n" + "\n".join(found)


def test_no_test_is_skipped() -> None:
    """A test runs or does not exist."""
    found = _lines_matching(SKIPS)
    assert not found, "\n".join(found)


def test_nothing_is_left_for_later() -> None:
    """No marker of unfinished work stays in the source."""
    found = _lines_matching(LEFTOVERS)
    assert not found, "\n".join(found)


def test_no_error_is_swallowed() -> None:
    """No bare ``except``, and no handler that does nothing without a comment that says why."""
    found = [
        source.at(handler)
        for source in sources()
        for handler in source.nodes(ast.ExceptHandler)
        if handler.type is None or (_does_nothing(handler) and not _has_comment(source, handler))
    ]
    assert not found, "swallowed errors:\n" + "\n".join(found)


def test_every_file_is_named_by_a_noun() -> None:
    """No file or folder has a name that could hold anything."""
    found = [
        source.name
        for source in sources()
        for part in (*source.path.parent.parts, source.path.stem)
        if NAMES_WITHOUT_A_NOUN & set(part.removeprefix("_").split("_")) and part in source.name
    ]
    assert not found, "\n".join(found)


def test_asserts_show_their_numbers() -> None:
    """An assert in the product carries a message: it is read in a log, without a debugger."""
    found = [
        source.at(node)
        for source in sources()
        if not source.is_test
        for node in source.nodes(ast.Assert)
        if node.msg is None and not _narrows_a_type(node.test)
    ]
    assert not found, "assert without a message:\n" + "\n".join(found)


def test_log_lines_have_fields_and_no_prose() -> None:
    """A message is a constant text, the same whenever it is logged; what varies is a field."""
    found = [
        f"{source.at(call)}: give what varies as extra=fields(name=value)"
        for source in sources()
        if source.name.startswith("raftkv/")
        for call in source.nodes(ast.Call)
        if dotted(call.func).rpartition(".")[0] in ("log", "_log")
        and dotted(call.func).rpartition(".")[2] in LOG_METHODS
        and not (len(call.args) == 1 and _is_constant(call.args[0]))
    ]
    assert not found, "\n".join(found)


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_constant(node.body) and _is_constant(node.orelse)
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.isupper())


def _lines_matching(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{source.name}:{number}: {line.strip()}"
        for source in sources()
        for number, line in enumerate(source.lines, start=1)
        if pattern.search(line) and "re.compile(" not in line
    ]


def _is_zero(call: ast.Call) -> bool:
    return (
        len(call.args) == 1 and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
    )


def _does_nothing(handler: ast.ExceptHandler) -> bool:
    return all(
        isinstance(statement, ast.Pass)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in handler.body
    )


def _has_comment(source: Source, handler: ast.ExceptHandler) -> bool:
    return any("#" in line for line in source.lines[handler.lineno - 1 : handler.end_lineno])


def _narrows_a_type(test: ast.expr) -> bool:
    """``assert x is not None`` and ``assert isinstance(x, T)`` only inform the type checker."""
    return any(isinstance(node, ast.Is | ast.IsNot) for node in _operators(test)) or (
        isinstance(test, ast.Call) and dotted(test.func) == "isinstance"
    )


def _operators(test: ast.expr) -> Iterator[ast.cmpop]:
    for node in ast.walk(test):
        if isinstance(node, ast.Compare):
            yield from node.ops
