"""docs/http2.md lists the rules of HTTP/2 and HPACK with their tests: both sides are complete."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.tidy.source_text import sources

ROOT = Path(__file__).parents[2]
LISTED = re.compile(r"`(test_\w+)(?:\[([^\]`]+)\])?`")
CASE = re.compile(r'"(\d+(?:\.\d+)*-[^"]+)"')
RFC_FILES = ("test_wire_rfc9113_errors.py", "test_wire_rfc9113_rules.py", "test_wire_rfc7541.py")


def listed() -> set[tuple[str, str]]:
    """Every test that the table names, with its case or ""."""
    text = (ROOT / "docs" / "http2.md").read_text()
    found = {(name, case) for name, case in LISTED.findall(text)}
    assert len(found) > 100, f"the table has {len(found)} tests"
    return found


def test_every_rule_has_its_test() -> None:
    """Each test in the table is a function under tests/wire, and each case is in such a file."""
    wire = [source for source in sources() if source.path.parent.name == "wire" and source.is_test]
    functions = {
        node.name for source in wire for node in source.nodes(ast.FunctionDef, ast.AsyncFunctionDef)
    }
    cases = {case for source in wire for case in CASE.findall(source.path.read_text())}
    missing = [
        f"{name}[{case}]"
        for name, case in sorted(listed())
        if name not in functions or (case and case not in cases)
    ]
    assert not missing, "docs/http2.md names tests that are not there:\n" + "\n".join(missing)


def test_every_test_of_a_rule_is_listed() -> None:
    """Each test of the RFC files, and each of its numbered cases, is in the table."""
    names = {name for name, _ in listed()}
    cases = {case for _, case in listed()}
    missing = []
    for source in sources():
        if source.path.name in RFC_FILES:
            missing += [
                node.name
                for node in source.nodes(ast.FunctionDef, ast.AsyncFunctionDef)
                if node.name.startswith("test_") and node.name not in names
            ]
            missing += set(CASE.findall(source.path.read_text())) - cases
    assert not missing, "docs/http2.md does not list:\n" + "\n".join(missing)
