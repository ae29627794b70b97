"""A file, class or function past these sizes hides a second noun: split it by noun."""

from __future__ import annotations

import ast

from tests.tidy.source_text import extent, sources

FILE_LINES_MAX = 500
TEST_FILE_LINES_MAX = 800
CLASS_LINES_MAX = 300
FUNCTION_LINES_MAX = 60
LINE_COLUMNS_MAX = 100


def test_files_stay_small() -> None:
    """No hand-written file is longer than its cap; generated code is exempt."""
    long = [
        f"{source.name}: {len(source.lines)} lines, at most {cap}"
        for source in sources()
        if len(source.lines) > (cap := TEST_FILE_LINES_MAX if source.is_test else FILE_LINES_MAX)
    ]
    assert not long, "\n".join(long)


def test_classes_stay_small() -> None:
    """No class is longer than its cap."""
    long = [
        f"{source.at(node)}: class {node.name} has {extent(node)} lines, at most {CLASS_LINES_MAX}"
        for source in sources()
        for node in source.nodes(ast.ClassDef)
        if extent(node) > CLASS_LINES_MAX
    ]
    assert not long, "\n".join(long)


def test_functions_stay_small() -> None:
    """No function or method is longer than its cap."""
    long = [
        f"{source.at(node)}: {node.name}() has {extent(node)} lines, at most {FUNCTION_LINES_MAX}"
        for source in sources()
        for node in source.nodes(ast.FunctionDef, ast.AsyncFunctionDef)
        if extent(node) > FUNCTION_LINES_MAX
    ]
    assert not long, "\n".join(long)


def test_lines_fit_the_screen() -> None:
    """No line of code is wider than its cap, in strings and comments too."""
    wide = [
        f"{source.name}:{number}: {len(line)} columns, at most {LINE_COLUMNS_MAX}"
        for source in sources()
        for number, line in enumerate(source.lines, start=1)
        if len(line) > LINE_COLUMNS_MAX
    ]
    assert not wide, "\n".join(wide)
