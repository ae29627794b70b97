"""kubectl as a program: which ones there are, and one run of it.

Owns: how kubectl is started: its config, caches and namespace. Must never do: judge what it says.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from tests.e2e.program import ROOT

TIMEOUT_S = 60
NAMES = ("kubectl", "kubectl-1.20")
_FILES = count(1)
OLD = ROOT / ".tools" / "kubectl-1.20"


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"status {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


@dataclass(frozen=True)
class Kubectl:
    """``config`` is a kubeconfig; everything else that kubectl keeps lies beside it."""

    program: Path
    config: Path

    def run(self, command: str, *, stdin: str = "", editor: str = "") -> Said:
        """``command`` as one types it after the word kubectl."""
        done = subprocess.run(
            self.command(command),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            cwd=self.config.parent,
            env=self.environment() | {"EDITOR": editor or "false"},
        )
        return Said(done.returncode, done.stdout, done.stderr)

    @property
    def age(self) -> str:
        """new, or old: 1.20."""
        return "old" if self.program.name == OLD.name else "new"

    @contextmanager
    def running(self, command: str) -> Iterator[Callable[[], str]]:
        """For what does not end by itself: what it has said so far. It ends with the block."""
        said = self.config.with_name(f"said-{next(_FILES)}")
        with said.open("w") as out:
            process = subprocess.Popen(
                self.command(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.config.parent,
                env=self.environment(),
            )
            try:
                yield said.read_text
            finally:
                process.kill()
                process.wait()

    def command(self, command: str) -> list[str]:
        return [str(self.program), *shlex.split(command)]

    def environment(self) -> dict[str, str]:
        home = {"KUBECONFIG": str(self.config), "HOME": str(self.config.parent)}
        return {"PATH": os.environ["PATH"], "TERM": "dumb", **home}


def programs() -> dict[str, Path]:
    """By name: the machine's own, and the oldest that is to work. `.ci/tools` installs both."""
    found = shutil.which("kubectl")
    assert found is not None, "kubectl is not installed: run .ci/tools"
    assert OLD.exists(), f"{OLD} is not there: run .ci/tools"
    return {"kubectl": Path(found), "kubectl-1.20": OLD}


def write_config(path: Path, server: str, namespace: str) -> Path:
    """A kubeconfig: JSON is YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    context = {"cluster": "raftkv", "user": "tester", "namespace": namespace}
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "raftkv", "cluster": {"server": server}}],
        "users": [{"name": "tester", "user": {}}],
        "contexts": [{"name": "raftkv", "context": context}],
        "current-context": "raftkv",
    }
    path.write_text(json.dumps(config))
    return path
