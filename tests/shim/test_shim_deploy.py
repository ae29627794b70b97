"""deploy/kubernetes, applied with the real kubectl to our own Kubernetes API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.program import ROOT
from tests.shim.kubectl import Kubectl, programs, write_config
from tests.shim.served_shim import ServedShim

pytestmark = pytest.mark.e2e
FILE = ROOT / "deploy" / "kubernetes" / "raftkv.yaml"


def test_kubectl_applies_it(served_shim: ServedShim, namespace: str, tmp_path: Path) -> None:
    """Every object is made, with the client's validation; applied again nothing changes, though
    kubectl says "configured" of lists that the server has filled in."""
    name = namespace.rpartition("/")[2]
    config = write_config(tmp_path / "kubeconfig", f"http://{served_shim.address}", name)
    kubectl = Kubectl(programs()["kubectl"], config)
    for words in ({"created"}, {"unchanged", "configured"}):
        said = kubectl.run(f"apply -f {FILE}")
        assert said.code == 0, said
        assert len(said.out.splitlines()) == 4, said
        assert {line.split()[-1] for line in said.out.splitlines()} <= words, said
    found = json.loads(kubectl.run("get statefulset raftkv -o json").out)
    assert found["metadata"]["generation"] == 1
    assert found["spec"]["podManagementPolicy"] == "Parallel"
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert "--name=$(POD_NAME)" in container["args"]
