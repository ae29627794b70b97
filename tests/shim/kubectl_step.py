"""One line of the kubectl script: what is typed, and what has to come of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """``says`` and ``complains`` are patterns to be found in stdout and stderr, ``silent`` one that
    must not be found in stdout. ``only``: "new" or "old", where just one of the two kubectls can.
    ``editor``: the command that edits the file. ``eventually``: others have to come to it, so it is
    typed until it is so. ``needs``: the part of the server it cannot do
    without, where that is not the objects alone."""

    command: str
    says: str = ""
    complains: str = ""
    silent: str = ""
    code: int = 0
    stdin: str = ""
    editor: str = ""
    only: str = ""
    eventually: bool = False
    needs: str = ""
