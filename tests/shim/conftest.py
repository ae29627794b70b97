"""Fixtures of the shim's tests: a real store of one member, and a control plane on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.program import program_under_test
from tests.shim.control_plane import ControlPlane


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
