"""The site can be built, and no link in it leads nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.program import ROOT


@pytest.mark.slow
def test_the_site_is_whole(tmp_path: Path) -> None:
    """mkdocs in strict mode: a link to a page or a heading that there is not, a page that is not
    in the contents, a name that the reference cannot find, each fails."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "site" / "reference" / "raft.html").read_text()
    assert "messages_after_persist" in reference
