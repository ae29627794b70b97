"""Fixtures of the shim's tests: a real store of one member, and a control plane on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.program import program_under_test
from tests.shim.control_plane import ControlPlane
from tests.shim.served_shim import ServedShim

_NAMES = count(1)


@pytest.fixture(scope="session")
def control_plane_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One member, for all tests with a ``plane``: each begins with an empty one."""
    directory = tmp_path_factory.mktemp("control-plane")
    with Cluster(program_under_test(), directory, members=1) as cluster:
        yield cluster
        assert not cluster.broken_log_lines()


@pytest.fixture
async def plane(control_plane_store: Cluster) -> AsyncIterator[ControlPlane]:
    """A shim on an empty store; the components are started by the test."""
    async with ControlPlane(control_plane_store.endpoints[0]) as plane:
        yield plane


@pytest.fixture
async def running(plane: ControlPlane) -> ControlPlane:
    """All components, and two nodes."""
    await plane.start_all("n1", "n2")
    return plane


@pytest.fixture(scope="session")
def served_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One member, below the shims that tests share."""
    directory = tmp_path_factory.mktemp("served-shim")
    with Cluster(program_under_test(), directory, members=1) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def served_shim(served_store: Cluster) -> Iterator[ServedShim]:
    """For all tests that keep to a ``namespace`` of their own."""
    with ServedShim(served_store.endpoints[0]) as shim:
        yield shim


@pytest.fixture(scope="session")
def second_shim(served_store: Cluster, served_shim: ServedShim) -> Iterator[ServedShim]:
    """Another one on the store of ``served_shim``."""
    with ServedShim(served_store.endpoints[0]) as shim:
        yield shim


@pytest.fixture
def namespace(served_shim: ServedShim) -> str:
    """The path of a namespace that no other test uses: /api/v1/namespaces/..."""
    return served_shim.namespace(f"test-{next(_NAMES)}")
