"""Real kubectl, the machine's and 1.20, does what it is told, and says what it always says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.shim.kubectl import Kubectl, programs, write_config
from tests.shim.kubectl_script import SCENES
from tests.shim.kubectl_step import Step
from tests.shim.served_shim import ServedShim

STEPS_MIN = 60
NAMES = ("kubectl", "kubectl-1.20")
pytestmark = pytest.mark.e2e


@pytest.fixture(params=NAMES)
def kubectl(
    request: pytest.FixtureRequest, served_shim: ServedShim, namespace: str, tmp_path: Path
) -> Kubectl:
    """In a namespace of the test's own."""
    name = namespace.rpartition("/")[2]
    config = write_config(tmp_path / "kubeconfig", f"http://{served_shim.address}", name)
    return Kubectl(programs()[request.param], config)


@pytest.mark.parametrize("scene", SCENES)
def test_kubectl_does_what_it_is_told(kubectl: Kubectl, namespace: str, scene: str) -> None:
    """Every step of the scene, in order, by its exit status and its words."""
    name = namespace.rpartition("/")[2]
    age = "old" if kubectl.program.name == "kubectl-1.20" else "new"
    steps = [step for step in SCENES[scene] if step.only in ("", age)]
    wrong = [told for step in steps if (told := _failure(kubectl, step, name))]
    assert not wrong, "\n\n".join(wrong)


def _failure(kubectl: Kubectl, step: Step, namespace: str) -> str:
    """What was said instead of what the step wants; empty if it was that."""
    command = step.command.replace("{ns}", namespace)
    said = kubectl.run(command, stdin=step.stdin, editor=step.editor)
    good = said.code == step.code and all(
        re.search(pattern.replace("{ns}", namespace), text, re.MULTILINE)
        for pattern, text in ((step.says, said.out), (step.complains, said.err))
        if pattern
    )
    if step.silent and re.search(step.silent, said.out):
        good = False
    return "" if good else f"kubectl {command}\n{said}\n--- wanted {step}"


def test_the_script_is_as_long_as_promised() -> None:
    """Sixty commands at least, by each of the two."""
    for other in ("new", "old"):
        count = sum(step.only != other for steps in SCENES.values() for step in steps)
        assert count >= STEPS_MIN, f"{count} steps"
