"""Generated code, the lock file and the documents agree with their sources."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.tidy.source_text import GENERATED, ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def _declared() -> set[str]:
    project = PYPROJECT["project"]
    lines = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        lines += extra
    return {_canonical(re.split(r"[<>=!~\[; ]", line, maxsplit=1)[0]) for line in lines}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_generated_code_is_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generating from proto/ again gives the committed files, byte for byte."""
    monkeypatch.chdir(ROOT)
    plugin = Path(sys.executable).with_name("protoc-gen-mypy")
    protos = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "proto").rglob("*.proto"))
    outputs = [f"--python_out={tmp_path}", f"--mypy_out=quiet:{tmp_path}"]
    plugged = f"--plugin=protoc-gen-mypy={plugin}"
    assert protos, "proto/ holds no .proto file"
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", "proto", plugged, *outputs, *protos]
    subprocess.run(command, check=True, timeout=60)  # to fork beside gRPC's threads is not safe
    fresh = {path.name: path.read_bytes() for path in tmp_path.rglob("*_pb2.py*")}
    committed = {path.name: path.read_bytes() for path in GENERATED.glob("*_pb2.py*")}
    stale = sorted(name for name in fresh | committed if fresh.get(name) != committed.get(name))
    assert not stale, f"run `make proto`: {', '.join(stale)}"


def test_lock_pins_every_dependency_with_hashes() -> None:
    """Each declared dependency is in requirements.lock, pinned and hashed, and no host is named."""
    lock = (ROOT / "requirements.lock").read_text()
    pinned = {_canonical(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)}
    assert _declared() <= pinned, f"run `make lock`: {sorted(_declared() - pinned)}"
    assert "://" not in lock, "requirements.lock names a registry"
    blocks = re.split(r"^(?=[A-Za-z])", lock, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in block for block in blocks)


def test_what_is_to_be_compiled_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """setup.py names modules of the tree, each once: a renamed one would silently stay Python."""
    monkeypatch.chdir(ROOT)
    sources: list[str] = runpy.run_path("setup.py")["native_sources"]()
    assert len(sources) == len(set(sources)) > 80
    assert [path for path in sources if not Path(path).is_file()] == []


def test_every_dependency_has_its_reason() -> None:
    """docs/dependencies.md has a row for each declared dependency and for no other."""
    text = (ROOT / "docs" / "dependencies.md").read_text()
    rows = {_canonical(name) for name in re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)}
    assert rows == _declared(), f"differ in {sorted(rows ^ _declared())}"


def test_documents_link_to_files_that_exist() -> None:
    """Every relative link in a Markdown file of the repository leads somewhere."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in LINK.findall(page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)


def test_scripts_are_shell_that_parses_and_runs() -> None:
    """The files of .ci/ are executable and stop at the first error or handle it."""
    for script in (ROOT / ".ci").iterdir():
        text = script.read_text()
        assert text.startswith("#!/usr/bin/env bash\n"), script.name
        assert re.search(r"^set -e?uo pipefail$", text, re.MULTILINE), script.name
        assert script.stat().st_mode & 0o111, f"{script.name} is not executable"


def test_nothing_leads_out_of_the_repository() -> None:
    """No link is tracked: where it is checked out it would take the place of what is there."""
    listed = subprocess.run(
        ["git", "ls-files", "--stage"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    links = [line for line in listed.stdout.splitlines() if line.startswith("120000 ")]
    assert not links, "\n".join(links)
