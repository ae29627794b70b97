"""Fixtures of the security tests: a real store of one member, and a guarded shim on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.program import program_under_test
from tests.shim.security.guarded_shim import GuardedShim


@pytest.fixture(scope="session")
def security_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One member; whoever starts a shim on it begins with an empty store."""
    directory = tmp_path_factory.mktemp("security")
    with Cluster(program_under_test(), directory, members=1) as cluster:
        yield cluster
        assert not cluster.broken_log_lines()


@pytest.fixture
async def guarded(security_store: Cluster) -> AsyncIterator[GuardedShim]:
    """RBAC and tokens: admin, alice of the group devs, bob, and the kubelet of node n1."""
    async with GuardedShim(security_store.endpoints[0]) as shim:
        yield shim
