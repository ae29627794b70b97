"""`python -m deploy.manual`: writes the pages that are made from the code."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.manual.limits import limits_page
from deploy.manual.pages import PAGES

ROOT = Path(__file__).parents[2]


def written() -> dict[Path, str]:
    """All such pages, by where they are."""
    pages = {ROOT / "docs" / "man" / name: page().text for name, page in PAGES.items()}
    return {**pages, ROOT / "docs" / "limits.md": limits_page()}


@click.command()
def main() -> None:
    """Write docs/man and docs/limits.md again, from the code."""
    for path, text in written().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
