"""`raftkv completion` in the shells themselves: bash, zsh and fish."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from raftkv.cli.completion import SHELLS
from raftkv.cli.main import main
from tests.e2e.program import ROOT

SECONDS = 60
START = "import sys; sys.argv[0] = 'raftkv'; from raftkv.cli.main import main; main()"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program called raftkv in bin/, and each shell's script."""
    home = tmp_path_factory.mktemp("completion")
    (home / "bin").mkdir()
    program = home / "bin" / "raftkv"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{START}" "$@"\n')
    program.chmod(0o755)
    for shell in SHELLS:
        told = CliRunner().invoke(main, ["completion", shell])
        assert told.exit_code == 0, told.output
        (home / shell).write_text(told.output)
    return home


def environment(home: Path) -> dict[str, str]:
    return {
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(home),
        "TERM": "dumb",
    }


def said(home: Path, *command: str) -> str:
    done = subprocess.run(
        command, env=environment(home), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done
    return done.stdout


def by_bash(home: Path, line: str) -> list[str]:
    words = line.split(" ")
    quoted = " ".join(word or '""' for word in words)
    script = (
        f"source {home}/bash; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        '_raftkv_completion raftkv; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return said(home, "bash", "--norc", "-c", script).split()


def by_fish(home: Path, line: str) -> list[str]:
    told = said(home, "fish", "--no-config", "-c", f"source {home}/fish; complete -C '{line}'")
    return [each.partition("\t")[0] for each in told.splitlines()]


@pytest.mark.slow
def test_bash_and_fish(home: Path) -> None:
    """Verbs of ctl and of its groups, choices, and the flags of serve."""
    assert {"create", "renew", "rotate-ca", "show"} <= set(by_bash(home, "raftkv ctl certs "))
    assert by_bash(home, "raftkv serve --quota-b") == ["--quota-backend-bytes"]
    assert by_fish(home, "raftkv serve --quota-b") == ["--quota-backend-bytes"]
    assert by_fish(home, "raftkv local --members ") == ["1", "3", "5"]


@pytest.mark.slow
def test_zsh(home: Path) -> None:
    """Typed at a prompt, with the tab key: the one flag that it can be is written out."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], environment(home))
    try:
        setup = f"autoload -U compinit && compinit -u -D && source {home}/zsh && echo rea''dy\n"
        os.write(terminal, setup.encode())
        assert "ready" in read_until(terminal, "ready")
        os.write(terminal, b"raftkv serve --quota-b\t")
        assert "--quota-backend-bytes" in read_until(terminal, "--quota-backend-bytes")
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(terminal)


def read_until(terminal: int, text: str) -> str:
    """What the terminal shows up to ``text``, or until the time is up."""
    shown, deadline = "", time.monotonic() + SECONDS
    while text not in shown.replace("\b", "") and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
    return shown
