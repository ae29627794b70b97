"""The page's files keep to what the server's Content-Security-Policy and the house ask of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "raftkv" / "ui" / "page"
FILES = sorted(PAGE.iterdir())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
LINES_MAX = 350
COLUMNS_MAX = 120
FUNCTION_LINES_MAX = 60
MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser"
    r"|setAttribute\(\"style\"|style: "
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_says_what_it_owns_and_stays_small(path: Path) -> None:
    """A header with "Owns" and "Must never", and the sizes of the Python files."""
    text = path.read_text()
    lines = text.splitlines()
    header = "\n".join(lines[:14])
    assert header.startswith("// ")
    assert "Owns:" in header
    assert "Must never" in header
    assert len(lines) <= LINES_MAX
    assert max(map(len, lines)) <= COLUMNS_MAX
    body = start = 0
    for number, line in enumerate(lines):
        if re.match(r"(  )?((export |async |static )*(function|#?\w+\().*\{)$", line):
            start = number
        if re.match(r"(  )?\}$", line):
            body = max(body, number - start)
    assert body <= FUNCTION_LINES_MAX


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_reads_text_as_markup_or_code(path: Path) -> None:
    """What the cluster says gets into the page as text, in one way."""
    assert MARKUP.findall(path.read_text()) == []


def test_the_page_needs_nothing_but_its_own_files() -> None:
    """No inline script or style, no address of another site, no file that is not there or is not
    used."""
    html = (PAGE / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", html) == []
    named = set(re.findall(r"(?:src|href)=\"/page/([^\"]+)\"", html))
    for script in SCRIPTS:
        named |= set(re.findall(r"from \"\./([^\"]+)\"", script.read_text()))
    assert named | {"index.html"} == {path.name for path in FILES}
    foreign = re.compile(r"https?://(?!www\.w3\.org/)")
    for path in FILES:
        assert foreign.findall(path.read_text()) == [], path.name
