"""Real kubectl, the machine's and 1.20, does what it is told, and says what it always says."""

from __future__ import annotations

import asyncio
import json
import re
from itertools import count
from pathlib import Path
from urllib.request import urlopen

import pytest

from apiserver_shim.resources.catalogue import Catalogue
from tests.certificates import Authority
from tests.e2e.program import ROOT
from tests.e2e.waiting import wait_until
from tests.shim.control_plane import ControlPlane
from tests.shim.kubectl import NAMES, Kubectl, programs, write_config
from tests.shim.kubectl_kinds import KINDS
from tests.shim.kubectl_script import SCENES
from tests.shim.kubectl_script_up import UP_SCENES
from tests.shim.kubectl_script_workloads import RUNNING_SCENES
from tests.shim.kubectl_step import play, play_by_each
from tests.shim.served_shim import ServedShim

STEPS_MIN = 60
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
def test_both_kubectls_do_what_they_are_told(
    served_shim: ServedShim, tmp_path: Path, scene: str
) -> None:
    """Every step of the scene, in order, by its exit status and its words."""
    players = {}
    for name, program in programs().items():
        namespace = f"{scene}-by-{name}".replace(" ", "-").replace(".", "-")
        served_shim.namespace(namespace)
        home = tmp_path / name
        config = write_config(home / "kubeconfig", f"http://{served_shim.address}", namespace)
        players[namespace] = Kubectl(program, config)
        Authority(home).issue("tls")  # for `create secret tls`
    # A kind that goes while another lists all kinds is an error of that list.
    play_by_each(players, SCENES[scene], at_once=scene != "custom kinds")


@pytest.mark.parametrize("program", NAMES)
@pytest.mark.parametrize("scene", RUNNING_SCENES)
async def test_kubectl_sees_workloads_run(
    running: ControlPlane, tmp_path: Path, program: str, scene: str
) -> None:
    """The same with controllers, a scheduler and two nodes: scale, rollout, eviction, drain."""
    namespace = await running.namespace()
    config = write_config(tmp_path / "kubeconfig", running.server, namespace)
    kubectl = Kubectl(programs()[program], config)
    await asyncio.to_thread(play, kubectl, RUNNING_SCENES[scene], namespace)


def _configured(served_shim: ServedShim, namespace: str, name: str, **data: str) -> None:
    """A config map that is there and has this data."""
    path = f"{namespace}/configmaps"
    if served_shim.get(f"{path}/{name}").code == 404:
        body = {"metadata": {"name": name}, "data": data}
        assert served_shim.create(path, body).code == 201, name
    else:
        assert served_shim.merge(f"{path}/{name}", {"data": data}).code == 200, name


@pytest.mark.parametrize("options", ["-w", "--watch-only"])
def test_kubectl_shows_what_changes(
    kubectl: Kubectl, served_shim: ServedShim, namespace: str, options: str
) -> None:
    """-w begins with what is there, --watch-only with what comes; both go on until they end."""
    _configured(served_shim, namespace, "before", a="1")
    counts = count()
    with kubectl.running(f"get cm {options} --output-watch-events") as said:

        def change_is_shown() -> object:
            _configured(served_shim, namespace, "after", **{f"k{next(counts)}": "1"})
            return re.search(r"(?m)^MODIFIED +after +\d+", said())

        wait_until(change_is_shown, "a change is shown")
        assert served_shim.delete(f"{namespace}/configmaps/after").code == 200
        wait_until(lambda: re.search(r"(?m)^DELETED +after ", said()), "the end is shown")
        assert ("before" in said()) == (options == "-w"), said()
        assert "EVENT" in said(), said()


def test_kubectl_waits_for_what_is_to_come(
    kubectl: Kubectl, served_shim: ServedShim, namespace: str
) -> None:
    """wait --for=delete ends when the last finalizer is gone, and not before."""
    path = f"{namespace}/configmaps"
    body = {"metadata": {"name": "held", "finalizers": ["example.com/wait"]}}
    assert served_shim.create(path, body).code == 201
    assert served_shim.delete(f"{path}/held").code == 200
    early = kubectl.run("wait cm/held --for=delete --timeout=1s")
    assert early.code == 1, early
    assert "timed out" in early.err, early
    with kubectl.running("delete cm held") as said:
        wait_until(lambda: "deleted" in said(), "the delete is told")
        served_shim.merge(f"{path}/held", {"metadata": {"finalizers": None}})
        wait_until(lambda: served_shim.get(f"{path}/held").code == 404, "held is gone")


def test_a_long_list_comes_in_chunks(
    kubectl: Kubectl, served_shim: ServedShim, namespace: str
) -> None:
    """Each object once and in order, whatever the size of a chunk."""
    names = [f"n{number:02d}" for number in range(11)]
    for name in names:
        _configured(served_shim, namespace, name, k="v")
    for size in (0, 1, 4, 11, 500):
        said = kubectl.run(f"get cm --chunk-size={size} -o name -v=6")
        assert said.out.split() == [f"configmap/{name}" for name in names], said
        asked = len(re.findall(r"GET \S+/configmaps\b", said.err))
        assert asked == (1 if size in (0, 11, 500) else -(-len(names) // size)), said


def test_the_api_is_reached_through_kubectl_proxy(kubectl: Kubectl, namespace: str) -> None:
    """The proxy passes paths, queries and answers on."""
    with kubectl.running("proxy --port=0") as said:
        where = r"Starting to serve on (127\.0\.0\.1:\d+)"
        address = wait_until(lambda: re.search(where, said()), "the proxy serves")[1]
        with urlopen(f"http://{address}{namespace}/configmaps?limit=1", timeout=30) as answer:
            assert json.load(answer)["kind"] == "ConfigMapList"


@pytest.mark.parametrize("path", ["apiserver.md", "testing.md"])
def test_the_script_is_as_long_as_promised(path: str) -> None:
    """By the documents; and by each of the two programs, sixty commands at least."""
    steps = [step for scene in (SCENES | RUNNING_SCENES | UP_SCENES).values() for step in scene]
    told = re.search(r"(\d+) commands", (ROOT / "docs" / path).read_text())
    assert told, f"docs/{path} does not say how many"
    assert int(told[1]) == len(steps)
    for other in ("new", "old"):
        assert sum(step.only != other for step in steps) >= STEPS_MIN


def test_every_kind_that_is_stored_is_in_the_script() -> None:
    """As the catalogue has them."""
    assert {each.kind for each in Catalogue() if "list" in each.verbs} == KINDS
