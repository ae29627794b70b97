"""The tables of docs/compatibility.md, docs/flags.md and docs/metrics.md, as the tests read them.

Owns: what a row looks like. Must never do: know what is served.
"""

from __future__ import annotations

import re

from tests.tidy.source_text import ROOT

ROW = re.compile(r"^\| `([^`]+)` \| ([a-z ]+) \|", re.MULTILINE)


def rows_of(document: str, heading: str = "") -> dict[str, str]:
    """The first column's name to the second column's state; after ``heading``, if given, and up to
    the next one. A name that stands twice is an error."""
    text = (ROOT / "docs" / document).read_text()
    if heading:
        text = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    pairs = ROW.findall(text)
    names = [name for name, _ in pairs]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, f"docs/{document} has two rows for {', '.join(sorted(twice))}"
    assert pairs, f"docs/{document} has no rows{f' under {heading}' if heading else ''}"
    return dict(pairs)


def difference(document: str, told: dict[str, str], known: dict[str, set[str]]) -> str:
    """What to change in ``document`` so that every known name has a row with one of its states;
    "" when nothing."""
    lines = [
        f"add a row:    | `{name}` | {' or '.join(sorted(states))} | why |"
        for name, states in sorted(known.items())
        if name not in told
    ]
    lines += [
        f"change a row: `{name}` is told as {told[name]!r}, and is {' or '.join(sorted(states))!r}"
        for name, states in sorted(known.items())
        if name in told and told[name] not in states
    ]
    lines += [f"remove a row: `{name}` is unknown" for name in sorted(told.keys() - known.keys())]
    return f"docs/{document} does not tell what is:\n" + "\n".join(lines) if lines else ""
