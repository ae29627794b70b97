"""PromQL taken apart far enough for the tests: which metrics an expression asks for.

Owns: a tokenizer. Must never do: judge an expression; promtool does.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*")
      | (?P<matchers>\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\})
      | (?P<range>\[[^\]]*\])
      | (?P<labels>\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\))
      | (?P<number>\b\d[\w.]*)
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?P<call>\s*\()?""",
    re.VERBOSE,
)
_WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring"}
_OF_HISTOGRAMS = ("_bucket", "_count", "_sum")


def metrics_of(expression: str) -> set[str]:
    """The names of the series that ``expression`` selects. An aggregation whose labels stand
    before its parentheses is no series either."""
    found = set()
    for token in _TOKEN.finditer(expression):
        name = token["name"]
        if not name or token["call"] or name in _WORDS:
            continue
        rest = expression[token.end() :].lstrip()
        if re.match(r"(by|without)\s*\(", rest):
            continue
        found.add(name)
    return found


def families_of(text: str) -> set[str]:
    """The series names that a /metrics page has or would have."""
    names = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            names |= {name} if kind != "histogram" else {name + each for each in _OF_HISTOGRAMS}
    return names
