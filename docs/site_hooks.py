"""What the site has besides docs/: the packages' own DESIGN pages, where links lead to them.

Owns: their place on the site. Must never do: change a page otherwise.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
_OUT_OF_DOCS = re.compile(r"\]\(\.\./((?:\.\./)*)([\w./-]+\.md)")
_INTO_DOCS = re.compile(r"\]\(((?:\.\./)+)docs/")


def outside() -> list[str]:
    """Pages elsewhere in the repository. On the site they keep their paths, beside those of docs/:
    one folder nearer to each other than here."""
    found = [*ROOT.glob("*/DESIGN.md"), *ROOT.glob("*/*/DESIGN.md"), ROOT / "tests" / "README.md"]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def on_files(files: Files, config: Any, **_: Any) -> Files:
    for path in outside():
        files.append(File.generated(config, path, content=(ROOT / path).read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    if page.file.src_uri in outside():
        return _INTO_DOCS.sub(r"](\1", markdown)
    known = set(outside())
    return _OUT_OF_DOCS.sub(lambda m: f"]({m[1]}{m[2]}" if m[2] in known else m[0], markdown)
