"""One line of the kubectl script: what is typed, and what has to come of it; and a scene played.

Owns: Step, and whether an answer is what a step wants. Must never do: know what is typed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.e2e.waiting import wait_until
from tests.shim.kubectl import Kubectl


@dataclass(frozen=True)
class Step:
    """``says`` and ``complains`` are patterns to be found in stdout and stderr, ``silent`` one that
    must not be found in stdout; `{ns}` in any of it is the namespace. ``only``: "new" or "old",
    where just one of the two kubectls can. ``editor``: the command that edits the file.
    ``eventually``: others have to come to it, so it is typed until it is so."""

    command: str
    says: str = ""
    complains: str = ""
    silent: str = ""
    code: int = 0
    stdin: str = ""
    editor: str = ""
    only: str = ""
    eventually: bool = False


def play_by_each(
    players: Mapping[str, Kubectl], scene: Sequence[Step], *, at_once: bool = True
) -> None:
    """By namespace, each in its own; ``at_once``: side by side, as users do it and because it takes
    half the time."""
    with ThreadPoolExecutor(len(players) if at_once else 1) as threads:
        playing = [
            threads.submit(play, kubectl, scene, namespace)
            for namespace, kubectl in players.items()
        ]
    failed = [error for each in playing if isinstance(error := each.exception(), Exception)]
    if failed:
        raise ExceptionGroup("not all of them did what they were told", failed)


def play(kubectl: Kubectl, scene: Sequence[Step], namespace: str) -> None:
    """Every step, and only then what was wrong: mostly the first is why."""
    wrong: list[str] = []
    for step in scene:
        if step.only not in ("", kubectl.age):
            continue
        told = _failure(kubectl, step, namespace)
        if told and step.eventually:
            what = "\n\n".join([*wrong, told])
            wait_until(lambda step=step: not _failure(kubectl, step, namespace), what)
        elif told:
            wrong.append(told)
    assert not wrong, "\n\n".join(wrong)


def _failure(kubectl: Kubectl, step: Step, namespace: str) -> str:
    """What was said instead of what the step wants; empty if it was that."""
    command = step.command.replace("{ns}", namespace)
    said = kubectl.run(command, stdin=step.stdin.replace("{ns}", namespace), editor=step.editor)
    good = said.code == step.code and all(
        re.search(pattern.replace("{ns}", namespace), text, re.MULTILINE)
        for pattern, text in ((step.says, said.out), (step.complains, said.err))
        if pattern
    )
    if step.silent and re.search(step.silent, said.out):
        good = False
    return "" if good else f"{kubectl.program.name} {command}\n{said}\n--- wanted {step}"
