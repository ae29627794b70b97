"""`raftkv ctl` as processes: one that follows a cluster, and short ones beside it.

Owns: BackupRun and raftkv_ctl. Must never do: look into what they write, beyond names.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.program import RAFTKV
from tests.e2e.waiting import wait_until

CTL = (sys.executable, "-m", "raftkv.cli.main", "ctl")


def raftkv_ctl(*arguments: str, file_blocks: int = 0) -> subprocess.CompletedProcess[str]:
    """With ``file_blocks``, no file may become larger than as many times 512 bytes."""
    return subprocess.run(
        _limited(file_blocks, arguments),
        capture_output=True,
        text=True,
        timeout=60,
        env=RAFTKV.environment(),
        check=False,
    )


def _limited(file_blocks: int, arguments: tuple[str, ...]) -> list[str]:
    if not file_blocks:
        return [*CTL, *arguments]
    return ["sh", "-c", f'ulimit -f {file_blocks}; exec "$@"', "sh", *CTL, *arguments]


class BackupRun:
    """``raftkv ctl backup run``, until it is told to stop."""

    def __init__(self, endpoints: list[str], to: Path, *flags: str, file_blocks: int = 0) -> None:
        self.to = to
        self._log = to.with_suffix(".log").open("ab")
        arguments = ("--endpoints", ",".join(endpoints), "backup", "run", "--to", str(to), *flags)
        self._process = subprocess.Popen(
            _limited(file_blocks, arguments),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=RAFTKV.environment(),
        )

    def __enter__(self) -> BackupRun:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._log.close()

    @property
    def log(self) -> str:
        return self.to.with_suffix(".log").read_text()

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def ended(self) -> int:
        return self._process.wait(timeout=30)

    def rows(self) -> list[dict[str, Any]]:
        """What `backup list` shows; nothing before there is anything."""
        listed = raftkv_ctl("backup", "list", str(self.to), "-w", "json")
        found: list[dict[str, Any]] = json.loads(listed.stdout) if not listed.returncode else []
        return found

    def wait_for_base(self, revision: int, chain: int = 1) -> None:
        """Until there is one of the chain that has ``revision``."""

        def is_there() -> bool:
            names = [path.stem for path in self.to.glob(f"chain-{chain:04d}-base-*.snap")]
            return any(int(name.rpartition("-")[2]) >= revision for name in names)

        wait_until(is_there, f"a base of chain {chain} with revision {revision}")

    def wait_for_log(self, revision: int) -> None:
        """Until the log goes up to ``revision``."""
        wait_until(
            lambda: any(row["what"] == "log" and row["to"] >= revision for row in self.rows()),
            f"the log has revision {revision}",
        )
