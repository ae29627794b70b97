"""Kubernetes' own Python client works with raftkv-apiserver, in a process of its own, unchanged."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.clients.test_clients import HERE, PYTHON, ROOT, run
from tests.e2e.cluster import Cluster
from tests.e2e.program import RAFTKV
from tests.shim.served_shim import ServedShim

pytestmark = pytest.mark.slow


def test_pythons_kubernetes(tmp_path: Path) -> None:
    """Objects, pages, watches, a version that is too old, the dynamic client, leader election."""
    subprocess.run([str(ROOT / ".ci" / "clients")], check=True, timeout=600)
    with (
        Cluster(RAFTKV, tmp_path, members=1) as cluster,
        ServedShim(cluster.endpoints[0]) as shim,
    ):
        shim.namespace("before-the-second")
        with ServedShim(cluster.endpoints[0]) as younger:
            urls = [f"http://{each.address}" for each in (shim, younger)]
            run([PYTHON, str(HERE / "uses_kubernetes.py"), *urls])
